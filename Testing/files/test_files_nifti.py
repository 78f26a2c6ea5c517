"""NIfTI headers say where voxels lie in several ways; nibabel is the independent reader."""

import itertools
import struct
import warnings

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from medseg.errors import Notice
from medseg.files import read_image, read_volumes
from medseg.geometry import Geometry

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
VOXELS = np.arange(24, dtype=np.int16).reshape((4, 3, 2), order="F")
SLOPE, OFFSET = 112, 116


@pytest.fixture
def ras(oblique):
    return LPS @ oblique.affine


def save(path, affine, voxels=VOXELS, sform=1, qform=0, *, kind=nib.Nifti1Image):
    image = kind(voxels, affine)
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    nib.save(image, path)
    return image


def patch(path, offset, layout, *values):
    raw = bytearray(path.read_bytes())
    struct.pack_into(layout, raw, offset, *values)
    path.write_bytes(raw)


def lps_affine(image):
    return LPS @ Geometry.of(image).affine


def skewed(angle):
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    affine[0, 2] = 3 * np.tan(angle)
    affine[:3, 3] = [5, -6, 7]
    return affine


@pytest.mark.parametrize(("sform", "qform"), [c for c in itertools.product(range(5), range(5)) if any(c)])
def test_sform_and_qform_that_agree_are_read_without_a_notice(tmp_path, ras, sform, qform):
    save(tmp_path / "image.nii", ras, sform=sform, qform=qform)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.allclose(lps_affine(read_image(tmp_path / "image.nii")), ras, atol=1e-4)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("sform", "qform"), [(1, 0), (0, 1), (0, 2), (1, 1)])
def test_a_left_handed_grid_is_read_from_either_form(tmp_path, ras, suffix, sform, qform):
    ras[:, 2] *= -1
    assert np.linalg.det(ras) < 0
    save(tmp_path / f"image{suffix}", ras, sform=sform, qform=qform)
    assert np.allclose(lps_affine(read_image(tmp_path / f"image{suffix}")), ras, atol=1e-4)


def test_a_qform_without_a_sign_is_right_handed(tmp_path, ras):
    save(tmp_path / "image.nii", ras, sform=0, qform=1)
    patch(tmp_path / "image.nii", 76, "<f", 0.0)
    assert np.allclose(lps_affine(read_image(tmp_path / "image.nii")), ras, atol=1e-4)


@pytest.mark.parametrize(("sform", "qform"), list(itertools.product(range(1, 5), range(1, 5))))
def test_where_sform_and_qform_differ_itk_is_followed_and_a_notice_says_so(tmp_path, ras, sform, qform):
    image = save(tmp_path / "image.nii", ras, sform=sform)
    moved = ras.copy()
    moved[0, 3] += 7
    image.set_qform(moved, qform)
    nib.save(image, tmp_path / "image.nii")
    with pytest.warns(Notice, match=r"differently, up to 7 mm; the (sform|qform) is used"):
        read = read_image(tmp_path / "image.nii")
    assert np.allclose(lps_affine(read), lps_affine(sitk.ReadImage(str(tmp_path / "image.nii"))), atol=1e-4)
    assert np.allclose(lps_affine(read), ras if sform == 1 else moved, atol=1e-4)


def test_a_file_that_does_not_say_how_it_lies_is_read_and_a_notice_says_so(tmp_path):
    save(tmp_path / "image.nii", np.diag([1.0, 2.0, 3.0, 1.0]), sform=0)
    with pytest.warns(Notice, match="left and right are a guess"):
        image = read_image(tmp_path / "image.nii")
    assert image.GetSpacing() == (1.0, 2.0, 3.0)
    assert Geometry.of(image).same_as(Geometry.of(sitk.ReadImage(str(tmp_path / "image.nii"))))


@pytest.mark.parametrize(("unit", "scale"), [("mm", 1), ("meter", 1000), ("micron", 0.001), ("unknown", 1)])
def test_units_become_millimetres(tmp_path, ras, unit, scale):
    image = nib.Nifti1Image(VOXELS, ras)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "image.nii.gz")
    affine = lps_affine(read_image(tmp_path / "image.nii.gz"))
    assert np.allclose(affine[:3], ras[:3] * scale, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_big_endian_files_are_read(tmp_path, ras, suffix, dtype):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.dtype(f">{dtype}"))
    nib.save(nib.Nifti1Image(VOXELS.astype(f">{dtype}"), ras, header), tmp_path / f"image{suffix}")
    image = read_image(tmp_path / f"image{suffix}")
    assert sitk.GetArrayFromImage(image).dtype == np.dtype(dtype)
    assert np.array_equal(sitk.GetArrayFromImage(image).T, VOXELS)
    assert np.allclose(lps_affine(image), ras, atol=1e-4)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("slope", "offset"), [(2, 5), (0.1, 0), (1, -1024), (-1, 3), (0, 5), (np.nan, 0), (0, 0)])
def test_slope_and_offset_are_applied_as_nibabel_does(tmp_path, ras, suffix, slope, offset):
    path = tmp_path / "image.nii"
    save(path, ras)
    patch(path, SLOPE, "<ff", slope, offset)
    if suffix == ".nii.gz":
        import gzip

        path = tmp_path / "image.nii.gz"
        path.write_bytes(gzip.compress((tmp_path / "image.nii").read_bytes()))
    read = sitk.GetArrayFromImage(read_image(path)).T
    assert np.allclose(read, nib.load(path).get_fdata(), rtol=1e-6)


def test_spacing_comes_from_the_sform_where_pixdim_contradicts_it(tmp_path):
    image = nib.Nifti1Image(VOXELS, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_zooms((1, 1, 1))
    nib.save(image, tmp_path / "image.nii")
    with pytest.warns(Notice, match="its sform says 2 x 2 x 2 mm a voxel but pixdim 1 x 1 x 1 mm"):
        assert read_image(tmp_path / "image.nii").GetSpacing() == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("kind", [nib.Nifti2Image, nib.Nifti1Pair])
def test_nifti_2_and_pairs_are_read(tmp_path, ras, kind):
    path = tmp_path / ("image.img" if kind is nib.Nifti1Pair else "image.nii.gz")
    save(path, ras, kind=kind)
    image = read_image(path)
    assert np.array_equal(sitk.GetArrayFromImage(image).T, VOXELS)
    assert np.allclose(lps_affine(image), ras, atol=1e-4)


def test_scaled_voxels_that_nibabel_reads_are_float32(tmp_path, ras):
    image = nib.Nifti2Image(VOXELS, ras)
    image.header.set_slope_inter(0.25, 1)
    nib.save(image, tmp_path / "image.nii.gz")
    read = sitk.GetArrayFromImage(read_image(tmp_path / "image.nii.gz")).T
    assert read.dtype == np.float32
    assert np.array_equal(read, nib.load(tmp_path / "image.nii.gz").get_fdata())


def test_a_2d_file_in_a_coronal_plane_becomes_one_slice_in_its_place(tmp_path):
    affine = np.array([[1.5, 0, 0, 5], [0, 0, 1, 6], [0, 2.5, 0, 7], [0, 0, 0, 1]])
    save(tmp_path / "coronal.nii", affine, VOXELS[:, :, 0])
    image = read_image(tmp_path / "coronal.nii")
    assert image.GetSize() == (4, 3, 1)
    assert image.TransformIndexToPhysicalPoint((2, 1, 0)) == pytest.approx((-8, -6, 9.5))
    assert image[2, 1, 0] == VOXELS[2, 1, 0]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_2d_file_need_not_say_how_thick_it_is(tmp_path, suffix):
    affine = np.diag([1.5, 2.5, 0, 1])
    image = nib.Nifti1Image(VOXELS[:, :, 0], np.eye(4))
    image.set_sform(affine, 1)
    image.set_qform(None, 0)
    image.header["pixdim"][1:4] = 1.5, 2.5, 0
    nib.save(image, tmp_path / f"flat{suffix}")
    read = read_image(tmp_path / f"flat{suffix}")
    assert read.GetSpacing() == (1.5, 2.5)
    assert read.GetDirection() == (-1, 0, 0, -1)
    assert np.array_equal(sitk.GetArrayFromImage(read).T, VOXELS[:, :, 0])


def test_cosines_rounded_by_their_writer_are_straightened_without_a_notice(tmp_path):
    ras = np.eye(4)
    ras[:3, :3] = Rotation.from_euler("xyz", [11, 23, 37], degrees=True).as_matrix()
    rounded = np.round(ras, 5)
    assert np.abs(rounded[:3, :3].T @ rounded[:3, :3] - np.eye(3)).max() > 3e-6
    save(tmp_path / "image.nii", rounded)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = read_image(tmp_path / "image.nii")
    cosines = Geometry.of(image).cosines
    assert np.allclose(cosines.T @ cosines, np.eye(3), atol=1e-6)
    assert np.allclose(lps_affine(image), ras, atol=1e-4)


def test_axes_nearly_at_right_angles_are_made_so_and_a_notice_says_by_how_much(tmp_path):
    voxels = np.zeros((100, 100, 100), np.uint8)
    save(tmp_path / "image.nii.gz", skewed(5e-4), voxels)
    with pytest.warns(Notice, match=r"moves voxels by up to 0\.0\d+ mm"):
        image = read_image(tmp_path / "image.nii.gz")
    grid = Geometry.of(image)
    assert np.allclose(grid.cosines.T @ grid.cosines, np.eye(3), atol=1e-9)
    centre = LPS @ skewed(5e-4) @ [49.5, 49.5, 49.5, 1]
    assert np.allclose(grid.point((49.5, 49.5, 49.5)), centre[:3], atol=1e-4)
    assert image.GetSize() == (100, 100, 100)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("codes", [(1, 0), (2, 0), (1, 1)])
def test_a_sheared_volume_is_resampled_in_its_true_place_and_a_notice_says_so(tmp_path, suffix, codes):
    affine = skewed(0.4)
    index = np.stack(np.meshgrid(range(20), range(9), range(15), indexing="ij"), axis=-1)
    ras_points = index @ affine[:3, :3].T + affine[:3, 3]
    weights = np.array([2.0, -3.0, 5.0])
    save(tmp_path / f"tilted{suffix}", affine, ras_points @ weights, *codes)
    with pytest.warns(Notice, match="is sheared"):
        image = read_image(tmp_path / f"tilted{suffix}")
    grid = Geometry.of(image)
    assert np.allclose(grid.cosines.T @ grid.cosines, np.eye(3), atol=1e-9)
    voxels = sitk.GetArrayFromImage(image)
    checked = 0
    for k, j, i in np.ndindex(voxels.shape):
        point = LPS[:3, :3] @ np.array(grid.point((i, j, k)))
        source = np.linalg.solve(affine, [*point, 1])[:3]
        if (source >= 0).all() and (source <= np.array([19, 8, 14])).all():
            assert voxels[k, j, i] == pytest.approx(point @ weights, abs=1e-3)
            checked += 1
    assert checked > 1500


def test_a_volume_sheared_by_a_degree_is_resampled(tmp_path):
    save(tmp_path / "tilted.nii", skewed(0.017), np.zeros((50, 50, 50), np.uint8))
    with pytest.warns(Notice, match="is sheared"):
        assert read_image(tmp_path / "tilted.nii").GetSize() == (52, 50, 51)


def test_around_a_sheared_volume_its_lowest_value_stands(tmp_path):
    save(tmp_path / "tilted.nii", skewed(0.4), np.full((20, 9, 15), -1000, np.int16))
    with pytest.warns(Notice, match="is sheared"):
        assert set(sitk.GetArrayFromImage(read_image(tmp_path / "tilted.nii")).ravel()) == {-1000}


def test_a_sheared_volume_is_covered_whole(tmp_path):
    affine = skewed(0.4)
    save(tmp_path / "tilted.nii", affine, np.ones((20, 9, 15), np.float32))
    with pytest.warns(Notice):
        grid = Geometry.of(read_image(tmp_path / "tilted.nii"))
    for corner in itertools.product((0, 19), (0, 8), (0, 14)):
        index = np.array(grid.index((LPS @ affine @ [*corner, 1])[:3]))
        assert (index > -1e-6).all()
        assert (index < np.array(grid.size) - 1 + 1e-6).all()


def test_a_4d_file_gives_its_volumes_in_order_each_in_its_place(tmp_path, ras):
    for voxels in (np.arange(120).reshape((4, 3, 2, 5), order="F"), np.arange(48).reshape((4, 3, 2, 1, 2), order="F")):
        save(tmp_path / "series.nii.gz", ras, voxels.astype(np.int16))
        volumes = read_volumes(tmp_path / "series.nii.gz")
        assert len(volumes) == voxels.shape[-1]
        for n, volume in enumerate(volumes):
            assert volume.GetDimension() == 3
            assert np.allclose(lps_affine(volume), ras, atol=1e-4)
            assert np.array_equal(sitk.GetArrayFromImage(volume).T, voxels.reshape((4, 3, 2, -1))[..., n])


def test_a_vector_file_gives_its_components_in_order(tmp_path, ras):
    voxels = np.arange(72).reshape((4, 3, 2, 1, 3), order="F").astype(np.float32)
    image = nib.Nifti1Image(voxels, ras)
    image.header.set_intent("vector")
    nib.save(image, tmp_path / "field.nii")
    volumes = read_volumes(tmp_path / "field.nii")
    assert [volume[1, 2, 1] for volume in volumes] == list(voxels[1, 2, 1, 0])


def test_a_sheared_4d_file_says_so_once(tmp_path):
    save(tmp_path / "series.nii", skewed(0.3), np.ones((6, 5, 4, 3), np.int16))
    with pytest.warns(Notice, match="sheared") as notices:
        volumes = read_volumes(tmp_path / "series.nii")
    assert len(volumes) == 3
    assert len(notices) == 1


def test_a_3d_file_gives_a_list_of_one(tmp_path, ras):
    save(tmp_path / "image.nii", ras)
    (volume,) = read_volumes(tmp_path / "image.nii")
    assert np.array_equal(sitk.GetArrayFromImage(volume).T, VOXELS)


def test_a_fourth_axis_of_one_is_no_obstacle(tmp_path, ras):
    save(tmp_path / "image.nii", ras, VOXELS[..., None])
    assert read_image(tmp_path / "image.nii").GetSize() == (4, 3, 2)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_voxels_that_are_no_numbers_reach_the_reader_as_they_are(tmp_path, suffix, dtype):
    voxels = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(dtype)
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / f"scan{suffix}")
    assert np.array_equal(sitk.GetArrayFromImage(read_image(tmp_path / f"scan{suffix}")).T, voxels, equal_nan=True)
