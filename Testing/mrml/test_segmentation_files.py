"""Files that Slicer's own storage writes are read by us with everything in them, and the reverse."""

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="3D Slicer's core (slicer-core) is not installed")

from medseg.files import read_segmentation, write_segmentation
from medseg.geometry import resample
from medseg.mrml.codes import Status, status_of
from medseg.mrml.segmentations import segmentation_of, show
from medseg.segmentation import Code, Segment, Segmentation

ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
SEGMENTS = (
    Segment(
        1,
        "Kidney ü",
        (0.25, 0.5, 1.0),
        Code("64033007", "SCT", "Kidney"),
        ANATOMY,
        key="kidney",
        modifier=Code("7771000", "SCT", "Left"),
    ),
    Segment(
        4,
        "Cyst",
        (1.0, 0.0, 0.0),
        Code("4147007", "SCT", "Mass"),
        Code("49755003", "SCT", "Morphologically Altered Structure"),
        key="cyst",
        region=Code("64033007", "SCT", "Kidney"),
    ),
)


@pytest.fixture(params=["one layer", "two layers"])
def segmentation(request, grid):
    """Two segments; in two layers they overlap."""
    layered = request.param == "two layers"
    array = np.zeros((*grid.shape, 2), np.uint8)
    array[1:3, 2:5, 3:6, 0] = 1
    array[2:5, 3:5, 4:7, 1] = 4
    array[0, 0, 0, 1] = 4
    if layered:
        return Segmentation(grid.image(array), (SEGMENTS[0], Segment(**{**vars(SEGMENTS[1]), "layer": 1})))
    return Segmentation(grid.image(array.max(axis=-1)), SEGMENTS)


def test_slicers_files_are_read_with_everything(scene, segmentation, tmp_path):
    node, path = scene.add("Segmentation"), tmp_path / "from-slicer.seg.nrrd"
    show(segmentation, node, scene.volume(segmentation.geometry), Status.COMPLETED)
    storage = scene.add("SegmentationStorage")
    storage.SetFileName(str(path))
    assert storage.WriteData(node)
    _assert_the_same(read_segmentation(path), segmentation)


def test_our_files_are_read_by_slicer_with_everything(scene, segmentation, tmp_path):
    node, path = scene.add("Segmentation"), tmp_path / "ours.seg.nrrd"
    write_segmentation(segmentation, path)
    storage = scene.add("SegmentationStorage")
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    _assert_the_same(segmentation_of(node, scene.volume(segmentation.geometry)), segmentation)


def test_the_status_of_segments_is_kept_in_slicers_files(scene, segmentation, tmp_path):
    node, path, back = scene.add("Segmentation"), tmp_path / "reviewed.seg.nrrd", scene.add("Segmentation")
    show(segmentation, node, scene.volume(segmentation.geometry), Status.FLAGGED)
    storage = scene.add("SegmentationStorage")
    storage.SetFileName(str(path))
    assert storage.WriteData(node)
    assert storage.ReadData(back)
    assert status_of(back.GetSegmentation().GetSegment("kidney")) is Status.FLAGGED


def _assert_the_same(found, expected):
    told = [(s.name, s.code, s.category, s.modifier, s.region, s.key) for s in found.segments]
    assert told == [(s.name, s.code, s.category, s.modifier, s.region, s.key) for s in expected.segments]
    for ours, theirs in zip(found.segments, expected.segments, strict=True):
        assert ours.color == pytest.approx(theirs.color, abs=1e-5)
        # files hold the labelled part only
        mask = sitk.GetImageFromArray(found.mask(ours).astype(np.uint8))
        mask.CopyInformation(found.labels)
        whole = resample(mask, expected.geometry, sitk.sitkNearestNeighbor)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(whole) > 0, expected.mask(theirs))
