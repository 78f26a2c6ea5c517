"""Registering in the module: the real worker and engines, the real scene; the panel is an emulation."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import needed

needed.core()
needed.qt()
needed.graphics()

import SimpleITK as sitk  # noqa: E402
import slicer  # noqa: E402
import vtk  # noqa: E402
from vtk.util.numpy_support import vtk_to_numpy  # noqa: E402

from harness.layout import four_up  # noqa: E402
from harness.pythonqt import dialogs  # noqa: E402
from medseg.engines.registration_presets import PRESETS  # noqa: E402
from medseg.formats import transforms as files  # noqa: E402
from medseg.registration import linear_matrix, members  # noqa: E402
from registration_networks import run_of  # noqa: E402
from registration_phantoms import INSIDE, SMALL_TURN, head, moved  # noqa: E402

FILE = Path(__file__).parents[2] / "Modules/MedSegRegistration/MedSegRegistration.py"


@pytest.fixture
def module(desktop: Any) -> Iterator[Any]:
    loaded = desktop.LoadedModule(FILE)
    yield loaded
    loaded.unload()


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """A pair of images as files, of which the answer is SMALL_TURN."""
    found = [tmp_path / "fixed.nrrd", tmp_path / "moving.nrrd"]
    for path, image in zip(found, (moved(SMALL_TURN), head()), strict=True):
        sitk.WriteImage(image, str(path))
    return found


@pytest.fixture
def pair(scene: Any, paths: list[Path]) -> list[Any]:
    return [slicer.util.loadVolume(str(path)) for path in paths]


@pytest.fixture
def panel(module: Any, pair: list[Any]) -> Any:
    opened = module.open()
    opened.ui.fixedSelector.setCurrentNode(pair[0])
    opened.ui.movingSelector.setCurrentNode(pair[1])
    return opened


def choose(panel: Any, name: str) -> None:
    panel.ui.presetSelector.setCurrentIndex([preset.name for preset in PRESETS].index(name))


def register(panel: Any, until: Callable[..., None], name: str) -> Any:
    """Register and return the transform node."""
    choose(panel, name)
    panel.ui.registerButton.click()
    assert panel.panel.run.busy, panel.ui.statusLabel.text
    until(lambda: not panel.panel.run.busy, within=120)
    return panel.tie.parameters.transform


def through(node: Any, place: tuple[float, ...]) -> np.ndarray:
    """A point of the node's parent, LPS mm, into what lies under the node."""
    x, y, z = node.GetTransformFromParent().TransformPoint(-place[0], -place[1], place[2])
    return np.array([-x, -y, z])


def same_numbers(node: Any, expected: sitk.Transform, apart: float = 0.0) -> bool:
    """Whether a node holds the matrices and displacements of a transform, to the last bit or so; RAS against LPS."""
    held = node.GetTransformFromParent()
    chain = [held] if node.IsLinear() else [held.GetConcatenatedTransform(n) for n in range(2)]
    # a composite of ITK applies its last member first
    return all(_same(one, other, apart) for one, other in zip(chain, members(expected)[::-1], strict=True))


def _same(held: Any, expected: sitk.Transform, apart: float) -> bool:
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    if expected.IsLinear():
        matrix = slicer.util.arrayFromVTKMatrix(held.GetMatrix())
        return np.allclose(matrix, flip @ linear_matrix(expected) @ flip, rtol=0, atol=apart)
    field = sitk.DisplacementFieldTransform(expected).GetDisplacementField()
    grid = vtk_to_numpy(held.GetDisplacementGrid().GetPointData().GetScalars())
    wanted = sitk.GetArrayFromImage(field).reshape(-1, 3) * [-1, -1, 1]
    return np.allclose(grid.reshape(-1, 3), wanted, rtol=0, atol=apart)


def by_command_line(paths: list[Path], out: Path, *options: str) -> sitk.Transform:
    command = [sys.executable, "-m", "medseg.cli", "register", *map(str, paths), "--out", str(out), *options]
    subprocess.run(command, check=True, capture_output=True)
    return files.read(out)


@pytest.mark.parametrize(
    ("name", "options", "apart"),
    [
        # ITK's threads add up a mutual information in the order in which they end: two runs differ by some 1e-9
        ("same-rigid", ("--engine", "rigid", "--measure", "mattes"), 1e-6),
        ("brains", ("--engine", "svf-fast", "--measure", "lncc"), 0.0),
    ],
)
def test_the_node_is_what_the_command_line_writes(
    panel: Any,
    pair: list[Any],
    paths: list[Path],
    until: Callable[..., None],
    tmp_path: Path,
    name: str,
    options: Any,
    apart: float,
) -> None:
    node = register(panel, until, name)
    expected = by_command_line(paths, tmp_path / "t.h5", *options)
    assert pair[1].GetTransformNodeID() == node.GetID()
    assert pair[1].GetImageData().GetDimensions() == (36, 36, 36), "nothing is hardened"
    assert same_numbers(node, expected, apart)
    for place in INSIDE:
        assert np.allclose(through(node, place), expected.TransformPoint(place), rtol=0, atol=1e-5)
        assert np.linalg.norm(through(node, place) - SMALL_TURN.TransformPoint(place)) < 2.5
    assert "done in" in panel.ui.statusLabel.text
    assert not panel.ui.progressBar.visible


def test_under_parent_transforms_both_volumes_come_together_in_the_world(
    panel: Any, pair: list[Any], until: Callable[..., None]
) -> None:
    above, aside = turned(40), turned(-25)
    pair[0].SetAndObserveTransformNodeID(above.GetID())
    pair[1].SetAndObserveTransformNodeID(aside.GetID())
    node = register(panel, until, "same-rigid")
    world = [vtk.vtkGeneralTransform(), vtk.vtkGeneralTransform()]
    pair[0].GetParentTransformNode().GetTransformToWorld(world[0])
    pair[1].GetParentTransformNode().GetTransformToWorld(world[1])
    assert node.GetTransformNodeID() == above.GetID()
    for x, y, z in INSIDE:
        there = SMALL_TURN.TransformPoint((x, y, z))
        apart = np.subtract(world[0].TransformPoint(-x, -y, z), world[1].TransformPoint(-there[0], -there[1], there[2]))
        assert np.linalg.norm(apart) < 1.5


def test_it_can_begin_where_the_volume_was_moved_to_by_hand(
    panel: Any, pair: list[Any], until: Callable[..., None]
) -> None:
    from medseg.mrml import transforms

    start = sitk.TranslationTransform(3, (900.0, 0.0, 0.0))
    pair[1].SetOrigin(pair[1].GetOrigin()[0] - 900, *pair[1].GetOrigin()[1:])
    by_hand = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    transforms.set_transform(by_hand, start)
    pair[1].SetAndObserveTransformNodeID(by_hand.GetID())
    panel.ui.fromHereBox.checked = True
    node = register(panel, until, "same-rigid")
    known = sitk.CompositeTransform([start, SMALL_TURN])
    for place in INSIDE:
        assert np.linalg.norm(through(node, place) - known.TransformPoint(place)) < 1.5
    assert "overlap" not in panel.ui.statusLabel.text


@pytest.mark.parametrize("how", ["cancel", "delete", "close", "leave"])
def test_what_ends_a_registration_leaves_the_scene_as_it_was(
    panel: Any, module: Any, pair: list[Any], until: Callable[..., None], how: str
) -> None:
    choose(panel, "brains-accurate")
    panel.ui.registerButton.click()
    until(lambda: "registration" in panel.ui.statusLabel.text or not panel.panel.run.busy)
    assert panel.panel.run.busy, panel.ui.statusLabel.text
    assert panel.ui.cancelButton.enabled
    assert not panel.ui.registerButton.enabled
    ways = {
        "cancel": panel.ui.cancelButton.click,
        "delete": lambda: slicer.mrmlScene.RemoveNode(pair[1]),
        "close": lambda: slicer.mrmlScene.Clear(0),
        "leave": lambda: (module.leave(), panel.panel.run.cancel()),
    }
    ways[how]()
    until(lambda: not panel.panel.run.busy)
    assert "Cancelled" in panel.ui.statusLabel.text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTransformNode") == 0
    assert panel.ui.registerButton.enabled == (how == "cancel")


def test_a_module_that_is_unloaded_ends_its_registration(panel: Any, module: Any, until: Callable[..., None]) -> None:
    from medseg.desktop.shared_worker import shared_worker

    choose(panel, "brains-accurate")
    panel.ui.registerButton.click()
    until(lambda: "registration" in panel.ui.statusLabel.text)
    module.unload()
    assert not panel.panel.run.busy
    assert shared_worker().pid is None


def test_what_the_worker_refuses_is_said(panel: Any, pair: list[Any], until: Callable[..., None]) -> None:
    slicer.util.arrayFromVolume(pair[1])[:] = 7
    slicer.util.arrayFromVolumeModified(pair[1])
    choose(panel, "same-rigid")
    panel.ui.registerButton.click()
    until(lambda: not panel.panel.run.busy)
    assert "moving image is constant" in panel.ui.statusLabel.text
    assert "#b00020" in panel.ui.statusLabel.styleSheet


def test_landmarks_register_and_their_error_is_shown_and_gone_to(
    panel: Any, application: Any, pair: list[Any], until: Callable[..., None], desktop: Any
) -> None:
    with four_up(application, (80, 80)) as views:
        panel.ui.landmarkSection.collapsed = False
        panel.ui.placeButton.click()
        parameters = panel.tie.parameters
        for place in INSIDE[:8]:
            parameters.fixed_points.AddControlPoint(-place[0], -place[1], place[2])
            there = SMALL_TURN.TransformPoint(place)
            parameters.moving_points.AddControlPoint(-there[0], -there[1], there[2])
        desktop.process_events(20)
        panel.ui.placeButton.click()
        assert panel.ui.pairTable.rowCount == 8
        assert float(panel.ui.pairTable.item(0, 1).text()) > 3
        node = register(panel, until, "landmarks")
        assert float(panel.ui.pairTable.item(0, 1).text()) < 0.01
        assert "8 pairs: mean 0.00 mm" in panel.ui.pairSummary.text
        panel.ui.sideBySideButton.click()
        panel.ui.pairTable.selectRow(3)
        for name, points in (("Red", parameters.fixed_points), ("Red+", parameters.moving_points)):
            place = [0.0, 0.0, 0.0]
            points.GetNthControlPointPositionWorld(3, place)
            middle = slicer.util.arrayFromVTKMatrix(views.slices[name].node.GetSliceToRAS())[:3, 3]
            assert np.allclose(middle, place, atol=1e-3)
            shown = views.slices[name].composite.GetBackgroundVolumeID()
            assert shown == pair[name.endswith("+")].GetID()
        panel.ui.sideBySideButton.click()
        assert views.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
        panel.ui.removePairButton.click()
        assert panel.ui.pairTable.rowCount == 7
        assert node.GetScene() is not None


def test_a_verdict_is_measured_decided_and_written_down(
    panel: Any, pair: list[Any], until: Callable[..., None], tmp_path: Path
) -> None:
    foreign = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    from medseg.mrml import transforms

    transforms.set_transform(foreign, SMALL_TURN)
    panel.ui.transformSelector.setCurrentNode(foreign)
    panel.ui.measureButton.click()
    until(lambda: panel.ui.exportButton.enabled)
    rows = [[panel.ui.checkTable.item(r, c).text() for c in range(4)] for r in range(panel.ui.checkTable.rowCount)]
    assert ["Voxels with a Jacobian determinant of 0 or less", "0 %", "0", "within tolerance"] in rows
    assert any(row[0] == "Inverse consistency, mean" and row[3] == "within tolerance" for row in rows)
    panel.ui.decisionSelector.setCurrentIndex(2)
    panel.ui.tableButton.click()
    assert "needs its reader" in panel.ui.verdictStatus.text
    panel.ui.readerEdit.text = "A. Reader"
    panel.ui.commentEdit.text = "not near the skull base"
    panel.ui.tableButton.click()
    table = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode").GetTable()
    assert "accept with limits" in [table.GetValue(r, 1).ToString() for r in range(table.GetNumberOfRows())]
    (tmp_path / "report").mkdir()
    with dialogs.answer("QFileDialog.getExistingDirectory", str(tmp_path / "report")):
        panel.ui.exportButton.click()
    until(lambda: "Written" in panel.ui.verdictStatus.text)
    written = json.loads((tmp_path / "report" / "verdict.json").read_text())
    assert (written["decision"], written["reader"]) == ("accept with limits", "A. Reader")
    assert "not near the skull base" in (tmp_path / "report" / "index.html").read_text()
    transforms.set_transform(foreign, SMALL_TURN.GetInverse())
    panel.ui.tableButton.click()
    assert "changed since it was measured" in panel.ui.verdictStatus.text


def test_a_transform_in_the_wrong_direction_is_told_and_another_one_is_judged_anew(
    panel: Any, until: Callable[..., None]
) -> None:
    from medseg.mrml import transforms

    nodes = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode") for _ in range(2)]
    for node, transform in zip(nodes, (SMALL_TURN.GetInverse(), SMALL_TURN), strict=True):
        transforms.set_transform(node, transform)
    panel.ui.transformSelector.setCurrentNode(nodes[0])
    panel.ui.measureButton.click()
    until(lambda: panel.ui.exportButton.enabled)
    assert "wrong direction" in panel.ui.verdictStatus.text
    panel.ui.decisionSelector.setCurrentIndex(1)
    panel.ui.transformSelector.setCurrentNode(nodes[1])
    assert panel.ui.decisionSelector.currentIndex == 0
    assert panel.ui.checkTable.rowCount == 0
    assert not panel.ui.exportButton.enabled


def test_a_transform_that_folds_is_told_and_its_row_is_red(panel: Any, until: Callable[..., None]) -> None:
    from medseg.mrml import transforms

    mirror = sitk.AffineTransform(3)
    mirror.SetMatrix((-1, 0, 0, 0, 1, 0, 0, 0, 1))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transforms.set_transform(node, mirror)
    panel.ui.transformSelector.setCurrentNode(node)
    panel.ui.measureButton.click()
    until(lambda: panel.ui.exportButton.enabled)
    assert "folds: 100 %" in panel.ui.verdictStatus.text
    table = panel.ui.checkTable
    colours = {table.item(r, 0).text(): table.item(r, 3).foreground().color().name() for r in range(table.rowCount)}
    assert colours["Voxels with a Jacobian determinant of 0 or less"] == "#b00020"
    assert colours["Inverse consistency, mean"] != "#b00020"


def test_a_tolerance_can_be_changed_and_is_kept(panel: Any, until: Callable[..., None]) -> None:
    panel.ui.measureButton.click()
    until(lambda: panel.ui.exportButton.enabled)
    names = [panel.ui.checkTable.item(r, 0).text() for r in range(panel.ui.checkTable.rowCount)]
    row = names.index("Voxels with a Jacobian determinant of 0 or less")
    panel.ui.checkTable.item(row, 2).setText("3.5")
    assert json.loads(panel.tie.parameters.thresholds)["folding_percent"] == 3.5
    panel.ui.checkTable.item(row, 2).setText("much")
    assert json.loads(panel.tie.parameters.thresholds)["folding_percent"] == 3.5
    assert panel.ui.checkTable.item(row, 2).text() == "3.5"


def turned(degrees: float) -> Any:
    matrix = vtk.vtkTransform()
    matrix.RotateWXYZ(degrees, 1, 2, 3)
    matrix.Translate(30, -20, 10)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(matrix.GetMatrix())
    return node


def test_a_network_of_ones_own_is_chosen_by_its_file(
    panel: Any, paths: list[Path], until: Callable[..., None], tmp_path: Path
) -> None:
    run = run_of(tmp_path)
    assert not panel.ui.weightsPath.visible
    choose(panel, "learned")
    assert panel.ui.weightsPath.visible
    panel.ui.registerButton.click()
    assert panel.ui.statusLabel.text == "Choose the file of the network first."
    panel.ui.weightsPath.currentPath = str(run / "card.json")
    node = register(panel, until, "learned")
    expected = by_command_line(paths, tmp_path / "t.h5", "--engine", "learned", "--weights", str(run), "--refine")
    place = (5.0, -8.0, 3.0)
    assert np.allclose(through(node, place), expected.TransformPoint(place), atol=1e-4)
    assert np.linalg.norm(np.array(expected.TransformPoint(place)) - place) > 0.5, "it is no identity"


def test_a_file_that_is_no_network_is_said_and_moves_nothing(
    panel: Any, pair: list[Any], until: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "note.pth").write_text("nothing")
    panel.ui.weightsPath.currentPath = str(tmp_path / "note.pth")
    choose(panel, "symnet")
    panel.ui.registerButton.click()
    until(lambda: not panel.panel.run.busy, within=60)
    assert "note.pth" in panel.ui.statusLabel.text
    assert pair[1].GetParentTransformNode() is None
