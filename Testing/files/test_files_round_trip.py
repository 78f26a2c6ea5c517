"""What is written is read back: voxels to the bit, places to 1e-4 mm, also by readers that are not ours."""

import zlib

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medseg.files import read_image, write_image
from medseg.geometry import Geometry

FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha")
TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32, np.float64)


@st.composite
def grids(draw):
    cosines = Rotation.from_euler("xyz", draw(st.tuples(*[st.floats(-180, 180)] * 3)), degrees=True).as_matrix()
    cosines = cosines * draw(st.sampled_from([1, -1]))
    spacing = draw(st.tuples(*[st.floats(0.1, 8)] * 3))
    origin = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    size = draw(st.tuples(*[st.integers(1, 7)] * 3))
    return Geometry(size, spacing, origin, tuple(cosines.ravel()))


def same_voxels(first, second):
    return np.array_equal(sitk.GetArrayFromImage(first), sitk.GetArrayFromImage(second))


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(grid=grids())
def test_any_orthogonal_grid_survives_any_format(tmp_path, phantom, suffix, grid):
    image = phantom(grid)
    write_image(image, tmp_path / f"image{suffix}")
    back = read_image(tmp_path / f"image{suffix}")
    assert Geometry.of(back).same_as(grid, 1e-4)
    assert same_voxels(back, image)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_voxel_type_survives_every_format(tmp_path, phantom, oblique, suffix, dtype):
    image = phantom(oblique, dtype)
    write_image(image, tmp_path / f"image{suffix}")
    back = read_image(tmp_path / f"image{suffix}")
    assert back.GetPixelID() == image.GetPixelID()
    assert same_voxels(back, image)


@pytest.mark.parametrize("handed", [1, -1])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_turned_2d_image_survives_every_format(tmp_path, phantom, suffix, handed):
    grid = Geometry((5, 4), (0.5, 0.75), (10.0, -20.0), (0.6, -0.8 * handed, 0.8, 0.6 * handed))
    write_image(phantom(grid, np.uint16), tmp_path / f"radiograph{suffix}")
    back = read_image(tmp_path / f"radiograph{suffix}")
    assert back.GetDimension() == 2
    assert Geometry.of(back).same_as(grid)
    assert same_voxels(back, phantom(grid, np.uint16))


def test_nibabel_finds_every_voxel_where_we_wrote_it(tmp_path, phantom, oblique):
    write_image(phantom(oblique), tmp_path / "image.nii.gz")
    read = nib.load(tmp_path / "image.nii.gz")
    lps = np.diag([-1, -1, 1, 1]) @ read.affine
    assert np.allclose(lps, oblique.affine, atol=1e-4)
    assert read.dataobj[3, 2, 1] == 3 + 6 * (2 + 5 * 1)


def test_pynrrd_finds_every_voxel_where_we_wrote_it(tmp_path, phantom, oblique):
    write_image(phantom(oblique), tmp_path / "image.nrrd")
    voxels, header = nrrd.read(str(tmp_path / "image.nrrd"))
    assert np.allclose(header["space directions"].T, oblique.affine[:3, :3], atol=1e-9)
    assert np.allclose(header["space origin"], oblique.origin, atol=1e-9)
    assert voxels[3, 2, 1] == 3 + 6 * (2 + 5 * 1)


def test_we_find_every_voxel_where_pynrrd_wrote_it(tmp_path, oblique):
    voxels = np.arange(120).reshape((6, 5, 4), order="F").astype(np.int16)
    header = {
        "space": "right-anterior-superior",
        "space directions": (np.diag([-1, -1, 1]) @ oblique.affine[:3, :3]).T,
        "space origin": np.diag([-1, -1, 1]) @ oblique.origin,
    }
    nrrd.write(str(tmp_path / "ras.nrrd"), voxels, header)
    image = read_image(tmp_path / "ras.nrrd")
    assert Geometry.of(image).same_as(oblique)
    assert image[3, 2, 1] == voxels[3, 2, 1]


def test_compressed_big_endian_files_are_read(tmp_path):
    voxels = np.arange(24).reshape(2, 3, 4).astype(">i2")
    nrrd.write(str(tmp_path / "image.nrrd"), voxels, {"endian": "big"}, index_order="C")
    assert b"endian: big" in (tmp_path / "image.nrrd").read_bytes()
    packed = zlib.compress(voxels.tobytes())
    head = "NDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = True\nCompressedData = True\n"
    head += f"CompressedDataSize = {len(packed)}\nDimSize = 4 3 2\nElementSpacing = 1 1 1\nElementType = MET_SHORT\n"
    (tmp_path / "image.mha").write_bytes(f"{head}ElementDataFile = LOCAL\n".encode() + packed)
    for name in ("image.nrrd", "image.mha"):
        assert np.array_equal(sitk.GetArrayFromImage(read_image(tmp_path / name)), voxels), name


def test_detached_headers_are_read(tmp_path, phantom, oblique):
    for name in ("image.nhdr", "image.mhd", "image.hdr"):
        sitk.WriteImage(phantom(oblique), str(tmp_path / name))
        image = read_image(tmp_path / name)
        assert Geometry.of(image).same_as(oblique), name
        assert same_voxels(image, phantom(oblique)), name
    assert Geometry.of(read_image(tmp_path / "image.img")).same_as(oblique)


def test_files_carry_nothing_but_voxels_and_grid(tmp_path, phantom, oblique):
    image = phantom(oblique)
    image.SetMetaData("0010|0010", "Doe^Jane")
    sitk.WriteImage(image, str(tmp_path / "named.nrrd"))
    assert b"Doe^Jane" in (tmp_path / "named.nrrd").read_bytes()
    write_image(read_image(tmp_path / "named.nrrd"), tmp_path / "copy.nrrd")
    assert b"Doe^Jane" not in (tmp_path / "copy.nrrd").read_bytes()
