"""Files that cannot be used, each with a message of its own that names the file."""

import gzip
import struct
import zlib

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medseg.errors import BadInput
from medseg.files import read_image, read_provenance, read_segmentation, read_volumes

AFFINE = np.diag([1.0, 2, 3, 1])
READERS = (read_image, read_volumes, read_segmentation)
NOISE = np.random.default_rng(0).integers(0, 30000, (20, 24, 28)).astype(np.int16)


@pytest.fixture
def whole(tmp_path):
    """Give the bytes of a file of noise that no writer of ours made."""

    def make(suffix, compressed=True):
        path = tmp_path / f"whole{suffix}"
        sitk.WriteImage(sitk.GetImageFromArray(NOISE), str(path), compressed)
        return path.read_bytes()

    return make


@pytest.fixture
def nifti(tmp_path):
    """Write a NIfTI file with some bytes of its header replaced."""

    def make(offset=0, layout="", *values, affine=AFFINE):
        path = tmp_path / "image.nii"
        nib.save(nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(4, 3, 2), affine), path)
        raw = bytearray(path.read_bytes())
        if layout:
            struct.pack_into(layout, raw, offset, *values)
        path.write_bytes(raw)
        return path

    return make


def refused(path, told, reader=read_image):
    with pytest.raises(BadInput, match=told) as fault:
        reader(path)
    assert path.name in str(fault.value)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["nowhere.nii.gz", "nowhere.seg.nrrd", "nowhere", "folder#1.2.3"])
def test_missing_file(tmp_path, reader, name):
    refused(tmp_path / name, "does not exist", reader)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".png", ".dcm", ""])
def test_empty_file(tmp_path, reader, suffix):
    (tmp_path / f"empty{suffix}").touch()
    refused(tmp_path / f"empty{suffix}", "is empty", reader)


def test_unknown_suffix(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    refused(tmp_path / "notes.txt", r"no known format; give a DICOM folder or a file that ends in \.nii, ")


@pytest.mark.parametrize("suffix", [".nii", ".hdr", ".nrrd", ".mha", ".png", ".tif", ".seg.nrrd"])
@pytest.mark.parametrize("reader", READERS)
def test_text_named_like_an_image(tmp_path, suffix, reader):
    (tmp_path / f"text{suffix}").write_text("no image at all\n" * 100)
    refused(tmp_path / f"text{suffix}", "is not a NIfTI file|cannot be read", reader)


def test_text_named_nii_gz(tmp_path):
    (tmp_path / "text.nii.gz").write_text("no image at all\n" * 100)
    refused(tmp_path / "text.nii.gz", "is not compressed by gzip though its name says so; rename it to text.nii")
    (tmp_path / "text.nii.gz").write_bytes(gzip.compress(b"no image at all\n" * 100))
    refused(tmp_path / "text.nii.gz", "is not a NIfTI file")


def test_gzip_named_nii(tmp_path, whole):
    (tmp_path / "image.nii").write_bytes(whole(".nii.gz"))
    refused(tmp_path / "image.nii", r"is compressed by gzip but its name does not say so; rename it to image.nii.gz")


@pytest.mark.parametrize("left", [0.999, 0.5, 0.01, -1, -4, -8])
@pytest.mark.parametrize(
    ("suffix", "compressed"), [(".nii.gz", 1), (".nii", 0), (".nrrd", 0), (".nrrd", 1), (".mha", 0), (".mha", 1)]
)
def test_file_cut_short(tmp_path, whole, suffix, compressed, left):
    raw = whole(suffix, bool(compressed))
    count = left if left < 0 else int(left * len(raw))
    (tmp_path / f"part{suffix}").write_bytes(raw[:count])
    exact = {".nii": "is cut short: it holds", ".mha": "is cut short: it holds|cannot be read"}
    refused(tmp_path / f"part{suffix}", exact.get(suffix, "cut short|damaged"))


def test_metaimage_cut_short_is_told_by_how_much(tmp_path, whole):
    for compressed, wanted in ((False, NOISE.nbytes), (True, "[0-9]+")):
        raw = whole(".mha", compressed)
        (tmp_path / "part.mha").write_bytes(raw[: -NOISE.nbytes // 4])
        refused(tmp_path / "part.mha", f"is cut short: it holds [0-9]+ of {wanted} bytes")


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("place", [0.3, 0.7, 0.97])
@pytest.mark.parametrize("voxels", [NOISE.repeat(4, axis=0), np.arange(64**3).reshape(64, 64, 64) // 7])
def test_compressed_file_with_wrong_bits(tmp_path, suffix, place, voxels):
    # ITK returns what was in memory before: the right voxels, had they been freed just now. So they are held here, and
    # no other case has the same
    voxels = (voxels + int(1000 * place) + len(suffix)).astype(np.int16)
    image = sitk.GetImageFromArray(voxels)
    sitk.WriteImage(image, str(tmp_path / f"whole{suffix}"), True)
    raw = bytearray((tmp_path / f"whole{suffix}").read_bytes())
    begin = int(place * len(raw))
    for wrong in (bytes(byte ^ 0xFF for byte in raw[begin : begin + 4]), b"\xff" * 500):
        (tmp_path / f"bits{suffix}").write_bytes(raw[:begin] + wrong + raw[begin + len(wrong) :])
        refused(tmp_path / f"bits{suffix}", "damaged")


def test_compressed_metaimage_whose_voxels_are_fewer_than_announced(tmp_path):
    packed = zlib.compress(np.arange(20, dtype="<i2").tobytes())
    head = "NDims = 3\nBinaryData = True\nCompressedData = True\nDimSize = 4 3 2\nElementSpacing = 1 1 1\n"
    head += f"CompressedDataSize = {len(packed)}\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    (tmp_path / "few.mha").write_bytes(head.encode() + packed)
    refused(tmp_path / "few.mha", "not as many or not those that its header announces")


def test_gzip_that_was_made_of_a_file_cut_short(tmp_path, whole):
    (tmp_path / "part.nii.gz").write_bytes(gzip.compress(whole(".nii")[:5000]))
    refused(tmp_path / "part.nii.gz", "cut short: it holds 5000 of 27[0-9]{3} bytes")


def test_gzip_with_a_wrong_checksum(tmp_path, whole):
    raw = bytearray(whole(".nii.gz"))
    raw[-6] ^= 0xFF
    (tmp_path / "sum.nii.gz").write_bytes(raw)
    refused(tmp_path / "sum.nii.gz", "damaged")


def test_a_gzip_file_of_several_parts_is_whole(tmp_path, whole):
    raw = whole(".nii")
    (tmp_path / "parts.nii.gz").write_bytes(gzip.compress(raw[:9000]) + gzip.compress(raw[9000:]))
    assert np.array_equal(sitk.GetArrayFromImage(read_image(tmp_path / "parts.nii.gz")), NOISE)


def test_sheared_or_new_nifti_cut_short(tmp_path):
    for kind, affine in ((nib.Nifti2Image, np.eye(4)), (nib.Nifti1Image, np.eye(4) + 0.3 * np.eye(4, k=1))):
        nib.save(kind(NOISE, affine), tmp_path / "whole.nii.gz")
        raw = (tmp_path / "whole.nii.gz").read_bytes()
        (tmp_path / "part.nii.gz").write_bytes(raw[: len(raw) // 2])
        refused(tmp_path / "part.nii.gz", r"cut short: it holds [1-9]\d* of")


@pytest.mark.parametrize(("size", "order"), [(347, "<"), (0, "<"), (540, "<"), (349, ">")])
def test_nifti_with_a_wrong_header_size(nifti, size, order):
    refused(nifti(0, f"{order}i", size), f"damaged header: it gives its length as {size} bytes instead of 348")


def test_analyze_file(nifti):
    refused(nifti(344, "4s", b"\0\0\0\0"), "does not tell left from right")


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf")])
def test_nifti_with_a_spacing_that_is_none(nifti, axis, size):
    refused(nifti(76 + 4 * axis, "<f", size), r"voxel spacing \(pixdim\) of .*; every one must be above 0")


@pytest.mark.parametrize("sign", [-1.0, 0.0, 1.0])
def test_the_sign_in_pixdim_0_is_no_spacing(nifti, sign):
    assert read_image(nifti(76, "<f", sign)).GetSpacing() == (1, 2, 3)


def test_nifti_with_a_matrix_that_puts_voxels_nowhere(nifti):
    refused(nifti(280, "<4f", 0, 0, 0, 5), "an sform that puts voxels nowhere")
    refused(nifti(280, "<4f", float("nan"), 0, 0, 5), "an sform that puts voxels nowhere")


def test_nifti_with_axes_in_one_plane(nifti):
    affine = np.array([[1, 2, 0, 0], [0, 1e-5, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1.0]])
    refused(nifti(affine=affine), "axes lie in one plane|puts voxels nowhere")


def test_nifti_with_a_rotation_that_is_none(nifti):
    path = nifti(252, "<hh", 1, 0)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<3f", raw, 256, 5.0, 5.0, 5.0)
    path.write_bytes(raw)
    refused(path, "its rotation is none")


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("count", [0, -4])
def test_nifti_without_voxels(nifti, axis, count):
    refused(nifti(40 + 2 * axis, "<h", count), f"holds no voxels: its size is .*{count}")


@pytest.mark.parametrize("count", [0, 1, 9, -1])
def test_nifti_with_no_number_of_axes(nifti, count):
    refused(nifti(40, "<h", count), f"has {count} axes")


@pytest.mark.parametrize(
    ("code", "told"),
    [(128, "colour image"), (32, "type complex64"), (0, "voxels of type|unknown"), (77, "unknown voxel type 77")],
)
def test_nifti_with_a_voxel_type_of_no_use(nifti, code, told):
    refused(nifti(70, "<h", code), told)


def test_nifti_header_without_its_voxels(tmp_path):
    nib.save(nib.Nifti1Pair(NOISE, np.eye(4)), tmp_path / "pair.img")
    (tmp_path / "pair.img").rename(tmp_path / "other.img")
    with pytest.raises(BadInput, match=r"pair\.img is cut short: it holds 0 of"):
        read_image(tmp_path / "pair.hdr")
    refused(tmp_path / "other.img", "lacks its header, which should be other.hdr")


def text_image(path, head, last):
    path.write_bytes(("\n".join([*head, last]) + "\n").encode() + np.arange(24, dtype=np.int16).tobytes())
    return path


def metaimage(path, spacing="1 2 3", size="4 3 2", matrix="1 0 0 0 1 0 0 0 1"):
    head = ["ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False"]
    head += [f"TransformMatrix = {matrix}", "Offset = 0 0 0", f"ElementSpacing = {spacing}", f"DimSize = {size}"]
    return text_image(path, [*head, "ElementType = MET_SHORT"], "ElementDataFile = LOCAL")


def nrrd(path, steps="(1,0,0) (0,2,0) (0,0,3)", size="4 3 2", more=()):
    head = ["NRRD0004", "type: short", "dimension: 3", f"sizes: {size}", "endian: little", "encoding: raw"]
    if steps:
        head += ["space: left-posterior-superior", f"space directions: {steps}", "space origin: (0,0,0)"]
    return text_image(path, [*head, *more], "")


def test_the_text_headers_of_these_tests_are_read(tmp_path):
    for path in (metaimage(tmp_path / "image.mha"), nrrd(tmp_path / "image.nrrd")):
        assert read_image(path).GetSpacing() == (1, 2, 3)


@pytest.mark.parametrize("spacing", ["0 2 3", "1 -2 3", "1 2 nan"])
def test_metaimage_with_a_spacing_that_is_none(tmp_path, spacing):
    refused(metaimage(tmp_path / "image.mha", spacing), "every one must be above 0")


@pytest.mark.parametrize("steps", ["(0,0,0) (0,2,0) (0,0,3)", "(1,0,0) (0,2,0) (0,0,nan)"])
def test_nrrd_with_a_step_that_is_none(tmp_path, steps):
    refused(nrrd(tmp_path / "image.nrrd", steps), "every one must be above 0")


@pytest.mark.parametrize("spacings", ["0 2 3", "1 -2 3"])
def test_nrrd_with_a_spacing_that_is_none(tmp_path, spacings):
    refused(nrrd(tmp_path / "image.nrrd", "", more=[f"spacings: {spacings}"]), "every one must be above 0")


def test_nrrd_in_other_units(tmp_path):
    refused(nrrd(tmp_path / "image.nrrd", more=['space units: "um" "um" "um"']), "measured in um; convert it")
    assert read_image(nrrd(tmp_path / "image.nrrd", more=['space units: "mm" "mm" "mm"'])).GetSize() == (4, 3, 2)


def test_text_headers_without_voxels(tmp_path):
    refused(metaimage(tmp_path / "image.mha", size="0 3 2"), "holds no voxels: its size is 0 x 3 x 2")
    refused(nrrd(tmp_path / "image.nrrd", size="4 0 2"), "holds no voxels: its size is 4 x 0 x 2")


def test_metaimage_with_its_size_in_its_matrix_is_no_stretched_grid(tmp_path):
    image = read_image(metaimage(tmp_path / "image.mha", matrix="2 0 0 0 1 0 0 0 1"))
    assert image.GetSpacing() == (2, 2, 3)
    assert image.GetDirection() == pytest.approx((1, 0, 0, 0, 1, 0, 0, 0, 1))


def test_complex_numbers(tmp_path):
    sitk.WriteImage(sitk.Image([4, 3, 2], sitk.sitkComplexFloat32), str(tmp_path / "phase.nrrd"))
    refused(tmp_path / "phase.nrrd", "holds complex numbers")


def test_provenance_that_is_none(tmp_path):
    refused(tmp_path / "result.json", "does not exist", read_provenance)
    for text in ("no JSON", '{"model": "a"}', "[1]", '{"model": "a", "unknown": 1}', '"text"'):
        (tmp_path / "result.json").write_text(text)
        refused(tmp_path / "result.json", "does not hold the provenance", read_provenance)
