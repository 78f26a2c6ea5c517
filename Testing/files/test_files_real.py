"""Files that others made."""

import hashlib
import re

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio

from medseg.files import read_image, read_segmentation, write_segmentation
from medseg.segmentation import Code


def listed(data):
    return re.findall(r"^\| (\S+/\S+) \|.*\| ([0-9a-f]{64}) \|$", (data / "README.md").read_text(), re.MULTILINE)


def test_every_real_file_is_the_one_that_the_list_names(data):
    names = {str(path.relative_to(data).as_posix()) for path in data.glob("*/*") if path.name != "LICENSE"}
    mine = {name for name in names if name.split("/")[0] in ("ct_chest_seg", "tumour_mr", "torso_ct_dicom")}
    assert mine == {name for name, _ in listed(data)}
    for name, sha256 in listed(data):
        assert hashlib.sha256((data / name).read_bytes()).hexdigest() == sha256, name


@pytest.mark.parametrize("name", ["Segmentation", "SegmentationOverlapping"])
def test_a_segmentation_of_slicer_survives_reading_writing_and_reading(data, tmp_path, name):
    first = read_segmentation(data / "ct_chest_seg" / f"{name}.seg.nrrd")
    write_segmentation(first, tmp_path / "again.seg.nrrd")
    again = read_segmentation(tmp_path / "again.seg.nrrd")
    theirs = slicerio.read_segmentation(str(data / "ct_chest_seg" / f"{name}.seg.nrrd"))
    ours = slicerio.read_segmentation(str(tmp_path / "again.seg.nrrd"))
    assert again.segments == first.segments
    assert np.allclose(ours["ijkToLPS"], theirs["ijkToLPS"], atol=1e-9)
    for segment, a, b in zip(first.segments, theirs["segments"], ours["segments"], strict=True):
        assert np.array_equal(first.mask(segment).T, slicerio.segment_mask(theirs, a))
        assert np.array_equal(again.mask(segment), first.mask(segment))
        assert (a["id"], a["name"], a["color"]) == (b["id"], b["name"], b["color"])
        for key in ("category", "type", "typeModifier"):
            assert a["terminology"].get(key) == b["terminology"].get(key)


def test_the_lungs_of_slicers_chest_are_known_by_name_code_side_and_volume(data):
    segmentation = read_segmentation(data / "ct_chest_seg" / "Segmentation.seg.nrrd")
    lung = segmentation.segment("right lung")
    assert lung.code == Code("39607008", "SCT", "Lung")
    assert lung.modifier == Code("24028007", "SCT", "Right")
    assert lung.category == Code("123037004", "SCT", "Anatomical Structure")
    assert lung.key == "Segment_5"
    assert 1000 < segmentation.volume_ml(lung) < 4000


def test_the_sphere_that_overlaps_lies_in_its_own_layer(data):
    segmentation = read_segmentation(data / "ct_chest_seg" / "SegmentationOverlapping.seg.nrrd")
    sphere = segmentation.segment("overlapping sphere")
    assert segmentation.layers == 2
    assert sphere.layer == 1
    others = [segmentation.mask(s) for s in segmentation.segments if s.layer == 0]
    assert (segmentation.mask(sphere) & np.any(others, axis=0)).any()


def test_image_and_segmentation_of_slicer_lie_on_one_grid(data):
    image = read_image(data / "ct_chest_seg" / "CTChest4.nrrd")
    segmentation = read_segmentation(data / "ct_chest_seg" / "Segmentation.seg.nrrd")
    lungs = segmentation.mask(segmentation.segment("right lung"))
    assert lungs.shape == image.GetSize()[::-1]
    assert sitk.GetArrayFromImage(image)[lungs].mean() < -500


def test_a_left_handed_image_and_its_label_map_are_read(data):
    image = read_image(data / "tumour_mr" / "brain1_image.nrrd")
    labels = read_segmentation(data / "tumour_mr" / "brain1_label.nrrd")
    assert np.linalg.det(labels.geometry.cosines) < 0
    assert image.GetDirection() == labels.labels.GetDirection()
    assert [segment.name for segment in labels.segments] == ["Segment 1"]
    assert labels.volume_ml(labels.segments[0]) == pytest.approx(16.4, abs=0.1)


def test_slices_in_jpeg_2000_without_a_series_identifier_make_a_volume(data):
    image = read_image(data / "torso_ct_dicom")
    assert image.GetSize() == (512, 512, 4)
    assert image.GetSpacing() == pytest.approx((0.9765625, 0.9765625, 2.0))
    assert image.GetOrigin() == pytest.approx((-249.51171875, -437.51171875, -772.5))
    voxels = sitk.GetArrayFromImage(image)
    assert voxels.min() == -1024
    assert np.median(voxels[:, 240:270, 240:270]) > -200
