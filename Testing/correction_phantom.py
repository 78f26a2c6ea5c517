"""A small head with a lesion and a vessel on the desk of Manual Correction, and a user's clicks and strokes."""

from typing import Any

import numpy as np
import slicer
import vtk

from harness.pythonqt import segment_editor
from harness.pythonqt.stand_ins import state
from medseg.mrml.labelmaps import grid_of_labelmap, labelmap
from medseg.mrml.segment_layout import mask_of
from medseg.mrml.segmentations import show
from medseg.mrml.volumes import grid_of_volume
from medseg.segmentation import Segment, Segmentation

LESION = Segment(1, "Lesion", (1.0, 0.6, 0.0), key="lesion")
VESSEL = Segment(2, "Vessel", (0.0, 0.4, 1.0), key="vessel")
SIZE = 36
TURN = np.array([[0.36, 0.48, -0.8, 4.0], [-0.8, 0.6, 0.0, -7.0], [0.48, 0.64, 0.6, 11.0], [0, 0, 0, 1.0]])
MATRICES = {
    "straight": np.diag([-1.0, -1.0, 1.2, 1.0]),
    "oblique": TURN @ np.diag([1.0, 1.0, 1.2, 1.0]),
    "left-handed": np.diag([-1.0, 1.0, 1.2, 1.0]),
}


def ball(centre: Any, radius: float) -> np.ndarray:
    index = np.stack(np.meshgrid(*[np.arange(SIZE)] * 3, indexing="ij"), -1)
    return np.linalg.norm(index - np.array(centre)[::-1], axis=-1) < radius


TRUTH = ball((18, 18, 18), 9)
START = TRUTH & (np.arange(SIZE)[None, None, :] > 14)
NEIGHBOUR = ball((8, 18, 18), 3) & ~TRUTH


def matrix(array: np.ndarray) -> Any:
    made = vtk.vtkMatrix4x4()
    made.DeepCopy(array.ravel().tolist())
    return made


def grey_values() -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 6, TRUTH.shape)
    return (100 + 150 * TRUTH + 60 * NEIGHBOUR + noise).astype(np.float32)


def head(kind: str = "straight") -> Any:
    node = slicer.util.addVolumeFromArray(grey_values(), name="Head")
    node.SetIJKToRASMatrix(matrix(MATRICES[kind]))
    return node


def segmented(volume: Any, lesion: np.ndarray = START) -> Any:
    labels = np.where(lesion, 1, NEIGHBOUR * 2).astype(np.uint8)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "AI result")
    show(Segmentation(grid_of_volume(volume).image(labels), (LESION, VESSEL)), node, volume)
    return node


def on_the_desk(module: Any, volume: Any, node: Any) -> Any:
    """Lay a mask on the desk of the module; its widget then has both, as `volume` and `node`."""
    widget = module.open()
    widget.edit(node)
    widget.node, widget.volume = node, volume
    return widget


def lesion(widget: Any) -> np.ndarray:
    return mask_of(widget.node, "lesion", widget.volume)


def vessel(widget: Any) -> np.ndarray:
    return mask_of(widget.node, "vessel", widget.volume)


def world(widget: Any, index: Any) -> list[float]:
    """RAS mm of the world of a voxel (i, j, k)."""
    to_ras, place = vtk.vtkMatrix4x4(), [0.0, 0.0, 0.0]
    widget.volume.GetIJKToRASMatrix(to_ras)
    widget.volume.TransformPointToWorld(to_ras.MultiplyPoint([*map(float, index), 1.0])[:3], place)
    return place


def click(widget: Any, index: Any, until: Any, positive: bool = True) -> None:
    """Place a point by the tool, as the mouse does, and wait for the proposal."""
    button = widget.ui.positiveButton if positive else widget.ui.negativeButton
    if not button.checked:
        button.click()
    runner, asked = widget.panel.runner, widget.panel.runner.asked
    widget.panel.tools.node.AddControlPointWorld(world(widget, index))
    until(lambda: runner.asked > asked and not runner.busy)


def brush(widget: Any, mask: np.ndarray, add: bool = True) -> None:
    """Paint as the editor's brushes do: on the voxels of the reference geometry, with its undo, its masking."""
    editor, converter, image = widget.panel.editor, slicer.vtkSegmentationConverter, slicer.vtkOrientedImageData()
    name = converter.GetReferenceImageGeometryParameterName()
    converter.DeserializeImageGeometry(widget.node.GetSegmentation().GetConversionParameter(name), image, False)
    editor.widget.saveStateForUndo()
    logic = editor._logic
    mode = logic.ModificationModeAdd if add else logic.ModificationModeRemove
    stroke = labelmap(mask, grid_of_labelmap(image))
    logic.ModifySegmentByLabelmap(widget.node, editor.segment, stroke, mode, False, False)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def clicking_effect(widget: Any) -> Any:
    """The effect "MedSeg click" as the Segment Editor of the panel has it, in hand."""
    slicer.app.startup_completed()
    effect = segment_editor.REGISTERED[-1]
    state(effect.scriptedEffect)["editor"] = widget.panel.editor.widget
    effect.setupOptionsFrame()
    effect.activate()
    return effect


class SliceWidget:
    """What an effect is told of the view in which the mouse is."""

    def __init__(self, view: Any) -> None:
        self._view = view

    def className(self) -> str:
        return "qMRMLSliceWidget"

    def mrmlSliceNode(self) -> Any:
        return self._view.node


class Mouse:
    """A click in a slice view, at a place of the world, RAS mm."""

    def __init__(self, view: Any, place: Any, ctrl: bool = False) -> None:
        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(view.node.GetXYToRAS(), inverse)
        self._xy, self._ctrl = inverse.MultiplyPoint([*place, 1.0])[:2], ctrl

    def GetEventPosition(self) -> Any:
        return self._xy

    def GetControlKey(self) -> bool:
        return self._ctrl
