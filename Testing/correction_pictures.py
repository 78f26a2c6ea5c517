"""Pictures of Manual Correction, for `Testing/screenshots.py`: the sample head, and a brain mask with two faults."""

from pathlib import Path
from typing import Any

from screenshots import HEAD, ROOT, panel_picture, side_by_side, until

BITE, EYE = (60, 150, 90), (60, 187, 29)
"""Where the mask is wrong, (i, j, k): a part of the brain is missing, an eye is in it."""


def correction(folder: Path, desktop: Any, application: Any, parts: Path) -> None:
    """A click on each of the faults, what has changed then, and the lower part of the panel."""
    import slicer

    from harness.layout import four_up

    head = slicer.util.loadVolume(str(HEAD))
    brain = _brain()
    node = _wrong_brain(head, brain.copy())
    module = desktop.LoadedModule(ROOT / "Modules/MedSegCorrection/MedSegCorrection.py")
    with four_up(application, (400, 400)) as views:
        for view in views.slices.values():
            view.show(head)
        views.resetThreeDViews()
        panel = module.open()
        panel.edit(node)
        _click(desktop, panel, head, BITE, True)
        _click(desktop, panel, head, EYE, False)
        _look_at(views, head, (60, 160, 90))
        views.write(parts / "views.png")
        panel.ui.statusLabel.setText("")
        panel_picture(desktop, panel, parts / "panel.png")
        side_by_side(parts / "panel.png", parts / "views.png", folder / "manual-correction.png")
        panel.ui.acceptButton.click()
        panel.panel.tools.drop()
        panel.ui.changedButton.click()
        _look_at(views, head, (60, 150, 90))
        views.write(folder / "manual-correction-changed.png")
        panel.ui.changedButton.click()
        _lower_part(desktop, panel, folder / "manual-correction-review.png")
        slicer.mrmlScene.RemoveNode(node)
        panel.edit(_hemispheres(head, brain))
        _mirror(desktop, panel)
        _look_at(views, head, BITE)
        views.write(parts / "views.png")
        panel_picture(desktop, panel, parts / "panel.png")
        side_by_side(parts / "panel.png", parts / "views.png", folder / "manual-correction-other-side.png")
        module.unload()
    slicer.mrmlScene.Clear(0)


def _brain() -> Any:
    """Let the model of the first module find the brain."""
    from medseg.engines import cards
    from medseg.engines.client import WorkerClient
    from medseg.files import read_image
    from medseg.progress import silent

    with WorkerClient() as worker:
        found = worker.predict(cards.find("brain-t1"), [read_image(str(HEAD))], "cpu", "auto", silent).segmentation
    return found.mask(found.segments[0])


def _far_from(mask: Any, place: tuple[int, int, int]) -> Any:
    """How far each voxel lies from a place, in voxels."""
    import numpy as np

    index = np.stack(np.meshgrid(*[np.arange(n) for n in mask.shape], indexing="ij"), -1)
    return np.linalg.norm(index - np.array(place[::-1]), axis=-1)


def _hemispheres(head: Any, mask: Any) -> Any:
    """Two segments, of which the second lacks a part."""
    import numpy as np
    import slicer

    from medseg.mrml.segmentations import show
    from medseg.mrml.volumes import grid_of_volume
    from medseg.segmentation import Segment, Segmentation

    middle = mask.shape[2] // 2
    first = mask & (np.arange(mask.shape[2]) > middle)
    second = mask & (np.arange(mask.shape[2]) < middle) & (_far_from(mask, BITE) > 25)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Hemispheres")
    segments = Segment(1, "Right", (0.0, 0.6, 0.9), key="right"), Segment(2, "Left", (0.9, 0.62, 0.0), key="left")
    labels = grid_of_volume(head).image((first + 2 * second).astype(np.uint8))
    show(Segmentation(labels, segments), node, head)
    node.GetDisplayNode().SetOpacity2DFill(0.2)
    return node


def _mirror(desktop: Any, panel: Any) -> None:
    for section in (
        "promptSection",
        "editorSection",
        "inputSection",
        "cleanSection",
        "reviewSection",
        "sessionSection",
    ):
        getattr(panel.ui, section).collapsed = True
    panel.ui.mirrorSection.collapsed = False
    panel.panel.desk.select("left")
    panel.ui.sideSelector.setCurrentIndex(0)
    panel.ui.mirrorButton.click()
    until(desktop, lambda: panel.panel.desk.proposing)
    panel.ui.statusLabel.setText("")


def _wrong_brain(head: Any, mask: Any) -> Any:
    """Put two faults into the brain."""
    import numpy as np
    import slicer

    from medseg.mrml.segmentations import show
    from medseg.mrml.volumes import grid_of_volume
    from medseg.segmentation import Segment, Segmentation

    grid = grid_of_volume(head)
    mask &= _far_from(mask, BITE) > 15
    mask |= _far_from(mask, EYE) < 11
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "AI result")
    brain = Segment(1, "Brain", (0.9, 0.62, 0.0), key="brain")
    show(Segmentation(grid.image(mask.astype(np.uint8)), (brain,)), node, head)
    node.GetDisplayNode().SetOpacity2DFill(0.25)
    node.CreateClosedSurfaceRepresentation()
    return node


def _lower_part(desktop: Any, panel: Any, path: Path) -> None:
    panel.ui.partsButton.click()
    panel.ui.nextButton.click()
    for section in ("promptSection", "editorSection", "inputSection"):
        getattr(panel.ui, section).collapsed = True
    for section in ("cleanSection", "reviewSection", "sessionSection"):
        getattr(panel.ui, section).collapsed = False
    used = panel.ui.sessionFolder.currentPath
    panel.ui.sessionFolder.currentPath = "~/.local/share/medseg/corrections"  # what a user has, for the picture
    panel.ui.readerEdit.setText("reader")
    panel.ui.sessionLabel.setText("")
    panel_picture(desktop, panel, path)
    panel.ui.sessionFolder.currentPath = used


def _click(desktop: Any, panel: Any, volume: Any, index: tuple[int, int, int], positive: bool) -> None:
    button = panel.ui.positiveButton if positive else panel.ui.negativeButton
    button.click()
    runner, asked = panel.panel.runner, panel.panel.runner.asked
    panel.panel.tools.node.AddControlPointWorld(_world(volume, index))
    until(desktop, lambda: runner.asked > asked and not runner.busy)


def _look_at(views: Any, volume: Any, index: tuple[int, int, int]) -> None:
    for view in views.slices.values():
        view.node.JumpSliceByOffsetting(*_world(volume, index))


def _world(volume: Any, index: tuple[int, int, int]) -> list[float]:
    import vtk

    to_ras = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(to_ras)
    return list(to_ras.MultiplyPoint((*index, 1))[:3])
