"""Radiographs out of picture files."""

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.errors import BadInput, Notice
from medseg.files import read_image, read_segmentation

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def save(path, array, spacing=None):
    image = sitk.GetImageFromArray(array, isVector=array.ndim > 2)
    if spacing:
        image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_values_and_pixel_size_are_read(tmp_path, suffix, dtype, recwarn):
    save(tmp_path / f"chest{suffix}", GREY.astype(dtype), (0.25, 0.5))
    image = read_image(tmp_path / f"chest{suffix}")
    assert image.GetSize() == (8, 6)
    assert image.GetSpacing() == pytest.approx((0.25, 0.5))
    assert np.array_equal(sitk.GetArrayFromImage(image), GREY)
    assert not recwarn


def test_a_picture_without_a_pixel_size_gets_1_mm_and_a_notice_says_so(tmp_path):
    save(tmp_path / "chest.jpg", GREY)
    with pytest.warns(Notice, match="1 mm is assumed"):
        image = read_image(tmp_path / "chest.jpg")
    assert image.GetSpacing() == (1, 1)
    assert np.abs(sitk.GetArrayFromImage(image).astype(int) - GREY).max() < 12


def test_grey_stored_as_colour_is_grey(tmp_path, recwarn):
    save(tmp_path / "chest.png", np.stack([GREY] * 3, axis=-1), (0.25, 0.5))
    image = read_image(tmp_path / "chest.png")
    assert np.array_equal(sitk.GetArrayFromImage(image), GREY)
    assert not recwarn


def test_colour_becomes_brightness_and_a_notice_says_so(tmp_path):
    save(tmp_path / "chest.png", np.stack([GREY, GREY // 2, GREY * 0], axis=-1), (0.25, 0.5))
    with pytest.warns(Notice, match="in colour"):
        image = read_image(tmp_path / "chest.png")
    assert np.array_equal(sitk.GetArrayFromImage(image), np.rint(0.299 * GREY + 0.587 * (GREY // 2)))
    assert image.GetSpacing() == pytest.approx((0.25, 0.5))


def test_a_grey_picture_is_a_label_map_and_a_coloured_one_is_not(tmp_path):
    save(tmp_path / "labels.png", np.eye(6, 8, dtype=np.uint8) * 3, (0.5, 0.5))
    assert [segment.value for segment in read_segmentation(tmp_path / "labels.png").segments] == [3]
    save(tmp_path / "painted.png", np.stack([GREY] * 3, axis=-1), (0.5, 0.5))
    with pytest.raises(BadInput, match="is a colour picture, not a label map"):
        read_segmentation(tmp_path / "painted.png")


def test_pages_are_refused(tmp_path):
    save(tmp_path / "stack.tif", np.zeros((4, 6, 8), np.uint8)[..., None][..., 0])
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 6, 8), np.uint8), isVector=False), str(tmp_path / "stack.tif"))
    with pytest.raises(BadInput, match="several pages"):
        read_image(tmp_path / "stack.tif")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_pictures_cut_short_are_refused(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200)).astype(np.uint8)
    save(tmp_path / f"whole{suffix}", noise)
    raw = (tmp_path / f"whole{suffix}").read_bytes()
    (tmp_path / f"half{suffix}").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(BadInput, match=r"half.*(damaged|cut short)"):
        read_image(tmp_path / f"half{suffix}")
