"""Patches reach a segment through the Segment Editor: with its masking, its overwriting and its undo."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="3D Slicer's core (slicer-core) is not installed")

from medseg.correction import Patch
from medseg.geometry import cut
from medseg.mrml.editing import show_patch
from medseg.mrml.segmentations import show
from medseg.segmentation import Segment, Segmentation

TUMOUR = Segment(1, "Tumour", (1, 0, 0), key="tumour")
VESSEL = Segment(2, "Vessel", (0, 0, 1), key="vessel")


@pytest.fixture
def scan(scene, grid, parent):
    """Bright where i is at least 3."""
    array = np.zeros(grid.shape, np.int16)
    array[..., 3:] = 100
    return parent.put(scene.volume(grid, array))


@pytest.fixture
def labels(grid):
    array = np.zeros(grid.shape, np.uint8)
    array[1:3, 1:3, 2:4] = 1
    array[:, :, 5] = 2
    return array


@pytest.fixture
def node(scene, scan, grid, labels):
    node = scene.add("Segmentation")
    show(Segmentation(grid.image(labels), (TUMOUR, VESSEL)), node, scan)
    return node


@pytest.fixture
def editor(scene, scan, node):
    logic, parameters = scene.slicer.vtkSlicerSegmentEditorLogic(), scene.add("SegmentEditor")
    logic.SetMRMLScene(scene.mrml)
    logic.SetSegmentEditorNode(parameters)
    parameters.SetAndObserveSegmentationNode(node)
    parameters.SetAndObserveSourceVolumeNode(scan)
    return logic


@pytest.fixture
def patch(grid, labels):
    """The tumour grows along i over the vessel and loses a corner."""
    after = labels.copy()
    after[1, 1, 2] = 0
    after[1:3, 1:3, 4:7] = 1
    return Patch(*(cut(grid.image(array), (1, 1, 1), (6, 2, 3)) for array in (labels, after)))


@pytest.fixture
def grown(labels):
    grown = labels == 1
    grown[1, 1, 2] = False
    grown[1:3, 1:3, 4:7] = True
    return grown


def test_a_patch_adds_and_removes_voxels(scene, scan, node, editor, patch, grown, labels):
    editor.GetSegmentEditorNode().SetOverwriteMode(scene.slicer.vtkMRMLSegmentEditorNode.OverwriteNone)
    show_patch(patch, TUMOUR, editor, scan)
    np.testing.assert_array_equal(scene.labels(node, "tumour", scan), grown)
    np.testing.assert_array_equal(scene.labels(node, "vessel", scan), labels == 2)


def test_it_overwrites_where_the_editor_does(scene, scan, node, editor, patch, grown, labels):
    editor.GetSegmentEditorNode().SetOverwriteMode(scene.slicer.vtkMRMLSegmentEditorNode.OverwriteAllSegments)
    show_patch(patch, TUMOUR, editor, scan)
    np.testing.assert_array_equal(scene.labels(node, "tumour", scan), grown)
    np.testing.assert_array_equal(scene.labels(node, "vessel", scan), (labels == 2) & ~grown)


def test_it_keeps_to_the_editable_area(scene, scan, node, editor, patch, grown, labels):
    parameters = editor.GetSegmentEditorNode()
    parameters.SetMaskMode(scene.slicer.vtkMRMLSegmentationNode.EditAllowedOutsideAllSegments)
    show_patch(patch, TUMOUR, editor, scan)
    np.testing.assert_array_equal(scene.labels(node, "vessel", scan), labels == 2)
    # the corner lies inside of a segment, where nothing may change
    np.testing.assert_array_equal(scene.labels(node, "tumour", scan), (grown | (labels == 1)) & (labels != 2))


def test_it_keeps_to_the_editable_range_of_intensities(scene, scan, node, editor, patch, grown, labels):
    parameters = editor.GetSegmentEditorNode()
    parameters.SetOverwriteMode(scene.slicer.vtkMRMLSegmentEditorNode.OverwriteNone)
    parameters.SourceVolumeIntensityMaskOn()
    parameters.SetSourceVolumeIntensityMaskRange(50, 150)
    show_patch(patch, TUMOUR, editor, scan)
    # the corner is dark
    np.testing.assert_array_equal(scene.labels(node, "tumour", scan), grown | (labels == 1))


def test_it_is_one_step_of_the_editors_undo(scene, scan, node, editor, patch, labels):
    editor.SaveStateForUndo()
    show_patch(patch, TUMOUR, editor, scan)
    editor.Undo()
    np.testing.assert_array_equal(scene.labels(node, "tumour", scan), labels == 1)
    np.testing.assert_array_equal(scene.labels(node, "vessel", scan), labels == 2)


def test_voxels_that_the_patch_does_not_change_stay_as_they_are_now(scene, scan, grid, node, editor, patch, labels):
    erased = labels.copy()
    erased[2, 2, 3] = 0
    show_patch(Patch(grid.image(labels), grid.image(erased)), TUMOUR, editor, scan)
    show_patch(patch, TUMOUR, editor, scan)
    assert not scene.labels(node, "tumour", scan)[2, 2, 3]
    assert scene.labels(node, "tumour", scan)[2, 2, 4]


def test_a_patch_from_elsewhere_is_refused(scan, editor, grid, labels):
    crop = cut(grid.image(labels), (1, 1, 1), (3, 3, 3))
    crop.SetOrigin(grid.point((1.4, 1, 1)))
    with pytest.raises(ValueError, match="voxels"):
        show_patch(Patch(crop, crop), TUMOUR, editor, scan)
