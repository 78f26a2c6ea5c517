"""Ten edits of every kind and back again, in every geometry that files and scenes have: not a voxel is left changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import needed

needed.core()
needed.qt()
needed.graphics()

import slicer  # noqa: E402
import vtk  # noqa: E402

from correction_phantom import (  # noqa: E402
    LESION,
    MATRICES,
    NEIGHBOUR,
    START,
    TURN,
    VESSEL,
    Mouse,
    SliceWidget,
    ball,
    brush,
    click,
    clicking_effect,
    grey_values,
    lesion,
    matrix,
    on_the_desk,
    vessel,
    world,
)
from harness.layout import four_up  # noqa: E402
from medseg.correction.folder import SessionFolder  # noqa: E402
from medseg.files import write_image, write_segmentation  # noqa: E402
from medseg.geometry import Geometry  # noqa: E402
from medseg.segmentation import Segmentation  # noqa: E402

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
CASES = {
    "axial": ("straight", "Red", "none", ""),
    "sagittal view of an oblique file": ("oblique", "Yellow", "none", "outside"),
    "coronal view of a left-handed file": ("left-handed", "Green", "none", ""),
    "oblique view": ("straight", "oblique", "none", "outside"),
    "oblique view of a left-handed file under a transform": ("left-handed", "oblique", "both", "outside"),
    "only the volume is under a transform": ("oblique", "Yellow", "volume", ""),
    "only the mask is under a transform": ("straight", "oblique", "mask", "outside"),
}
"""The file, the view, what lies under a transform, and whether strokes that overlap neighbours are cut or overlap."""


def grid_of(ras: np.ndarray) -> Geometry:
    """Return a grid with these directions, left-handed ones as they are."""
    lps = FLIP @ ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    return Geometry(START.shape[::-1], tuple(spacing), tuple(lps[:3, 3]), tuple((lps[:3, :3] / spacing).ravel()))


def files(folder: Path, kind: str, moved: str) -> tuple[Path, Path]:
    """Write the image and its mask, which lie in one place once the transform counts."""
    ras = MATRICES[kind]
    assert (np.linalg.det(grid_of(ras).cosines) < 0) == (kind == "left-handed")
    of_mask = {"volume": TURN @ ras, "mask": np.linalg.inv(TURN) @ ras}.get(moved, ras)
    labels = np.where(START, 1, NEIGHBOUR * 2).astype(np.uint8)
    write_image(grid_of(ras).image(grey_values()), folder / "head.nrrd")
    write_segmentation(Segmentation(grid_of(of_mask).image(labels), (LESION, VESSEL)), folder / "mask.seg.nrrd")
    return folder / "head.nrrd", folder / "mask.seg.nrrd"


def as_loaded(array: np.ndarray, kind: str) -> np.ndarray:
    """Return an array as Slicer holds it: slices of left-handed files are put in the reverse order."""
    return array[::-1] if kind == "left-handed" else array


def loaded_from(folder: Path, kind: str, moved: str) -> tuple[Any, Any]:
    image, mask = files(folder, kind, moved)
    volume, node = slicer.util.loadVolume(str(image)), slicer.util.loadSegmentation(str(mask))
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(volume), as_loaded(grey_values(), kind))
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix(TURN))
    for name, one in (("volume", volume), ("mask", node)):
        if moved in {name, "both"}:
            one.SetAndObserveTransformNodeID(transform.GetID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    return volume, node


def view_of(views: Any, name: str, volume: Any) -> Any:
    """One of the views, or one that is turned so that it lies along no axis of anything."""
    view = views.slices["Red" if name == "oblique" else name]
    view.show(volume)
    if name == "oblique":
        turned = matrix(np.array([[0.8, 0, 0.6, 0], [0.36, 0.8, -0.48, 0], [-0.48, 0.6, 0.64, 0], [0, 0, 0, 1.0]]))
        view.node.GetSliceToRAS().DeepCopy(turned)
        view.node.UpdateMatrices()
    return view


class User:
    """Hands that make ten edits, of every kind."""

    def __init__(self, widget: Any, kind: str, view: Any, until: Callable[..., None]) -> None:
        self._widget, self._kind, self._view, self._until = widget, kind, view, until
        self._effect = clicking_effect(widget)

    def edits(self) -> list[Callable[[], None]]:
        return [
            lambda: self._click((11, 18, 18), positive=True),
            lambda: self._brush(ball((29, 29, 29), 4)),
            lambda: self._click_in_view((29, 29, 29), ctrl=True),
            lambda: self._brush(ball((8, 18, 18), 5)),  # all over the neighbour
            lambda: self._brush(ball((22, 18, 18), 3), add=False),
            self._clean_up,
            lambda: self._lasso((20, 18, 18), 5.0),
            lambda: self._brush(ball((7, 28, 8), 3)),
            lambda: self._click((7, 28, 8), positive=False),
            lambda: self._click_in_view((20, 18, 18), ctrl=False),
        ]

    def _accept(self) -> None:
        assert self._widget.ui.acceptButton.enabled
        self._widget.ui.acceptButton.click()
        self._widget.panel.tools.drop()

    def _index(self, index: tuple[int, int, int]) -> tuple[int, int, int]:
        i, j, k = index
        return i, j, START.shape[0] - 1 - k if self._kind == "left-handed" else k

    def _brush(self, mask: np.ndarray, add: bool = True) -> None:
        brush(self._widget, as_loaded(mask, self._kind), add)

    def _click(self, index: Any, positive: bool) -> None:
        click(self._widget, self._index(index), self._until, positive)
        self._accept()

    def _click_in_view(self, index: Any, ctrl: bool) -> None:
        place = world(self._widget, self._index(index))
        self._view.node.JumpSliceByCentering(*place)
        mouse = Mouse(self._view, place, ctrl)
        event = vtk.vtkCommand.LeftButtonPressEvent
        assert self._effect.processInteractionEvents(mouse, event, SliceWidget(self._view))
        self._until(lambda: not self._effect.clicks._runner.busy)

    def _lasso(self, index: Any, radius: float) -> None:
        """Draw around a place in the plane of the view; what is inside goes."""
        place, plane = (
            np.array(world(self._widget, self._index(index))),
            slicer.util.arrayFromVTKMatrix(self._view.node.GetSliceToRAS()),
        )
        self._widget.ui.removeBox.checked = True
        self._widget.ui.lassoButton.click()
        for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
            spot = place + radius * (np.cos(angle) * plane[:3, 0] + np.sin(angle) * plane[:3, 1])
            self._widget.panel.tools.node.AddControlPointWorld(spot.tolist())
        slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLInteractionNode").SwitchToViewTransformMode()
        self._until(lambda: self._widget.panel.desk.proposing)
        self._accept()

    def _clean_up(self) -> None:
        self._widget.ui.largestBox.checked = True
        self._widget.ui.cleanButton.click()
        self._accept()


@pytest.mark.parametrize("name", CASES)
def test_undo_after_ten_mixed_edits_returns_to_the_very_first_mask_and_the_neighbour_is_never_touched(
    correction: Any, scene: Any, application: Any, until: Any, desktop: Any, tmp_path: Path, name: str
) -> None:
    kind, seen_in, moved, masking = CASES[name]
    widget = on_the_desk(correction, *loaded_from(tmp_path, kind, moved))
    if masking:
        widget.panel.editor.node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedOutsideAllSegments)
    states = [(lesion(widget), vessel(widget))]
    with four_up(application, (200, 200)) as views:
        for number, edit in enumerate(User(widget, kind, view_of(views, seen_in, widget.volume), until).edits(), 1):
            edit()
            desktop.process_events(5)
            states.append((lesion(widget), vessel(widget)))
            assert not np.array_equal(states[-1][0], states[-2][0]), f"edit {number} changed nothing"
            assert np.array_equal(states[-1][1], as_loaded(NEIGHBOUR, kind)), f"edit {number} touched the neighbour"
    kept = SessionFolder.read(widget.panel.desk.folder.path).session.segmentation
    assert np.array_equal(kept.mask(kept.segment("Lesion")), lesion(widget))
    for before in reversed(states[:-1]):
        widget.ui.undoButton.click()
        assert np.array_equal(lesion(widget), before[0])
        assert np.array_equal(vessel(widget), as_loaded(NEIGHBOUR, kind))
    assert np.array_equal(lesion(widget), as_loaded(START, kind))
    kept = SessionFolder.read(widget.panel.desk.folder.path).session.segmentation
    assert np.array_equal(kept.mask(kept.segment("Lesion")), lesion(widget))
    assert np.array_equal(kept.mask(kept.segment("Vessel")), vessel(widget))
