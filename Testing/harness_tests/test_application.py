"""The real core, started as the application starts it: files, segments, scenes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import needed

needed.core()

import nibabel  # noqa: E402
import slicer  # noqa: E402
import vtk  # noqa: E402

from harness.not_simulated import NotSimulated  # noqa: E402

ARRAY = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
OBLIQUE = np.array([[1.8, -0.4, 0.1, -20], [0.5, 1.5, -0.6, 30], [0.1, 0.5, 2.2, 5], [0, 0, 0, 1.0]])


def orthogonal(affine: np.ndarray) -> np.ndarray:
    """Return the affine with its axes made orthogonal, which NIfTI readers of ITK ask for."""
    result = affine.copy()
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    result[:3, :3] = np.linalg.qr(affine[:3, :3])[0] * lengths
    return result


def left_handed(affine: np.ndarray) -> bool:
    return bool(np.linalg.det(affine[:3, :3]) < 0)


def ras_of(node: Any) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


@pytest.fixture(params=["right-handed", "left-handed"])
def nifti(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, np.ndarray]:
    affine = orthogonal(OBLIQUE)
    if left_handed(affine) != (request.param == "left-handed"):
        affine[:3, 0] *= -1
    assert left_handed(affine) == (request.param == "left-handed")
    nibabel.save(nibabel.Nifti1Image(ARRAY.T, affine), tmp_path / "volume.nii.gz")
    return tmp_path / "volume.nii.gz", affine


def test_a_nifti_volume_keeps_every_voxel_in_its_place(scene: Any, nifti: tuple[Path, np.ndarray]) -> None:
    path, affine = nifti
    node = slicer.util.loadVolume(str(path))
    assert voxels_by_place(slicer.util.arrayFromVolume(node).T, ras_of(node)) == voxels_by_place(ARRAY.T, affine)


def test_a_left_handed_file_has_another_array_in_the_scene(scene: Any, nifti: tuple[Path, np.ndarray]) -> None:
    path, affine = nifti
    node = slicer.util.loadVolume(str(path))
    assert not left_handed(ras_of(node))
    assert np.array_equal(slicer.util.arrayFromVolume(node), ARRAY) != left_handed(affine)


def test_a_saved_volume_reads_elsewhere(scene: Any, nifti: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    node = slicer.util.loadVolume(str(nifti[0]))
    assert slicer.util.saveNode(node, str(tmp_path / "saved.nii.gz"))
    saved = nibabel.load(tmp_path / "saved.nii.gz")
    assert voxels_by_place(np.asarray(saved.dataobj), saved.affine) == voxels_by_place(ARRAY.T, nifti[1])


def voxels_by_place(array: np.ndarray, affine: np.ndarray) -> dict[tuple[float, ...], int]:
    """Return {RAS rounded to 1e-3 mm: value} of an array indexed i, j, k."""
    places = np.stack(np.indices(array.shape), -1).reshape(-1, 3) @ affine[:3, :3].T + affine[:3, 3]
    return dict(zip(map(tuple, np.round(places, 3) + 0.0), array.reshape(-1).tolist(), strict=True))


def volume(scene: Any, name: str = "Volume") -> Any:
    return slicer.util.addVolumeFromArray(ARRAY, nodeClassName="vtkMRMLScalarVolumeNode", name=name)


def segmentation_of(volume_node: Any) -> tuple[Any, str]:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    return node, node.GetSegmentation().AddEmptySegment("tumour", "Tumour")


def test_an_array_becomes_a_segment_and_comes_back(scene: Any) -> None:
    source = volume(scene)
    node, segment = segmentation_of(source)
    mask = (ARRAY % 7 == 0).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, source)
    assert np.array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, source), mask)


@pytest.mark.parametrize("file", ["scene.mrb", "scene.mrml"])
def test_a_scene_survives_closing(application: Any, scene: Any, tmp_path: Path, file: str) -> None:
    source = volume(scene)
    node, segment = segmentation_of(source)
    mask = (ARRAY > 50).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, source)
    slicer.util.saveNode(source, str(tmp_path / "Volume.nrrd"))
    slicer.util.saveNode(node, str(tmp_path / "Segmentation.seg.nrrd"))
    assert slicer.util.saveScene(str(tmp_path / file))

    application.clear()
    with pytest.raises(slicer.util.MRMLNodeNotFoundException):
        slicer.util.getNode("Volume")
    slicer.util.loadScene(str(tmp_path / file))
    assert np.array_equal(slicer.util.arrayFromVolume(slicer.util.getNode("Volume")), ARRAY)
    read = slicer.util.getNode("Segmentation")
    assert read.GetSegmentation().GetSegment(segment).GetName() == "Tumour"
    assert np.array_equal(
        slicer.util.arrayFromSegmentBinaryLabelmap(read, segment, slicer.util.getNode("Volume")), mask
    )


def test_markups_and_transforms_go_through_files(scene: Any, tmp_path: Path) -> None:
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "P")
    slicer.util.updateMarkupsControlPointsFromArray(points, np.array([[1.0, 2, 3], [4, 5, 6]]))
    matrix = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "T")
    slicer.util.updateTransformMatrixFromArray(matrix, OBLIQUE)
    assert slicer.util.saveNode(points, str(tmp_path / "p.mrk.json"))
    assert slicer.util.saveNode(matrix, str(tmp_path / "t.h5"))

    read_points = slicer.util.loadMarkups(str(tmp_path / "p.mrk.json"))
    read_matrix = slicer.util.loadTransform(str(tmp_path / "t.h5"))
    assert slicer.util.arrayFromMarkupsControlPoints(read_points).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert np.allclose(slicer.util.arrayFromTransformMatrix(read_matrix), OBLIQUE)


def test_a_file_that_is_not_there_raises(scene: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="does not exist"):
        slicer.util.loadVolume(str(tmp_path / "nowhere.nii.gz"))


def test_what_is_read_is_shown_unless_asked_otherwise(application: Any, scene: Any, tmp_path: Path) -> None:
    slicer.util.saveNode(volume(scene), str(tmp_path / "v.nrrd"))
    selection = application.logic.GetSelectionNode()
    selection.SetActiveVolumeID(None)
    slicer.util.loadVolume(str(tmp_path / "v.nrrd"), {"show": False})
    assert selection.GetActiveVolumeID() is None
    shown = slicer.util.loadVolume(str(tmp_path / "v.nrrd"))
    assert selection.GetActiveVolumeID() == shown.GetID()


def test_the_options_of_reading_a_volume_do_what_they_say(scene: Any, tmp_path: Path) -> None:
    source = volume(scene)
    source.SetOrigin(7, 8, 9)
    slicer.util.saveNode(source, str(tmp_path / "case.01.nrrd"))
    read = slicer.util.loadVolume(str(tmp_path / "case.01.nrrd"))
    assert (read.GetName(), read.GetOrigin()) == ("case", (7, 8, 9))
    labels = slicer.util.loadVolume(str(tmp_path / "case.01.nrrd"), {"labelmap": True, "name": "labels"})
    assert (labels.GetName(), labels.GetClassName()) == ("labels", "vtkMRMLLabelMapVolumeNode")
    centred = slicer.util.loadVolume(str(tmp_path / "case.01.nrrd"), {"center": True})
    assert centred.GetOrigin() != (7, 8, 9)


def test_closing_the_scene_leaves_the_singletons(application: Any, scene: Any) -> None:
    volume(scene)
    application.clear()
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    assert application.logic.GetSelectionNode() is not None
    assert scene.GetFirstNodeByClass("vtkMRMLInteractionNode") is not None
    assert scene.GetFirstNodeByClass("vtkMRMLCrosshairNode").GetCrosshairName() == "default"


def test_module_logics_are_those_of_the_application(application: Any) -> None:
    assert slicer.modules.volumes.logic() is application.logic.GetModuleLogic("Volumes")
    assert slicer.modules.segmentations.logic().GetClassName() == "vtkSlicerSegmentationsModuleLogic"


def test_what_is_not_simulated_says_so_and_what_is_not_there_is_missing(application: Any) -> None:
    with pytest.raises(NotSimulated):
        slicer.app.dicomDatabase  # noqa: B018
    with pytest.raises(AttributeError):
        slicer.app.coreIOManagers  # noqa: B018
    with pytest.raises(AttributeError):
        slicer.modules.volume  # noqa: B018
