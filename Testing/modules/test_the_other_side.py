"""The other side as a proposal: the real module, its worker that fits the middle, and the editor's undo."""

from typing import Any

import numpy as np
import pytest

from harness import needed

needed.core()
needed.qt()
needed.graphics()

import slicer  # noqa: E402

from correction_phantom import MATRICES, ball, dice, matrix, on_the_desk  # noqa: E402
from medseg.mrml.segment_layout import mask_of  # noqa: E402
from medseg.mrml.segmentations import show  # noqa: E402
from medseg.mrml.volumes import grid_of_volume  # noqa: E402
from medseg.segmentation import Segment, Segmentation  # noqa: E402

HEAD = ball((17.5, 18, 18), 16)
LEFT, RIGHT = (Segment(n, name, (1.0, 0.5, 0.0), key=name) for n, name in ((1, "left"), (2, "right")))
OVER = Segment(3, "over", (0.0, 0.0, 1.0), key="over")
GOOD, SAME = ball((9, 16, 20), 5), ball((26, 16, 20), 5)


def two_sides(correction: Any, image: np.ndarray) -> Any:
    """Two structures, each the mirror image of the other; of one a part is missing, where something else is."""
    volume = slicer.util.addVolumeFromArray(image.astype(np.float32), name="Head")
    volume.SetIJKToRASMatrix(matrix(MATRICES["straight"]))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Sides")
    part = SAME & (np.arange(36)[:, None, None] > 18)
    labels = np.where(part, 2, GOOD * 1) + 3 * (ball((28, 16, 16), 2) & ~part)
    show(Segmentation(grid_of_volume(volume).image(labels.astype(np.uint8)), (LEFT, RIGHT, OVER)), node, volume)
    widget = on_the_desk(correction, volume, node)
    widget.panel.desk.select("right")
    return widget


def mirror(widget: Any, until: Any, source: str = "left", middle: int = 0) -> None:
    widget.ui.sideSelector.setCurrentIndex(widget.ui.sideSelector.findText(source))
    widget.ui.middleSelector.setCurrentIndex(middle)
    widget.ui.mirrorButton.click()
    until(lambda: not widget.panel.mirroring.busy)


@pytest.mark.parametrize("middle", [0, 1], ids=["of the image", "of the segments"])
def test_the_other_side_is_proposed_and_accepting_it_is_one_step_of_undo(
    correction: Any, scene: Any, until: Any, middle: int
) -> None:
    widget = two_sides(correction, 100 * HEAD + 80 * (GOOD | SAME))
    before, over = (mask_of(widget.node, key, widget.volume) for key in ("right", "over"))
    mirror(widget, until, middle=middle)
    assert np.array_equal(mask_of(widget.node, "right", widget.volume), before)
    widget.ui.acceptButton.click()
    after = mask_of(widget.node, "right", widget.volume)
    assert dice(after, SAME & ~over) > (0.95 if middle == 0 else 0.8)
    assert np.array_equal(mask_of(widget.node, "over", widget.volume), over)
    assert np.array_equal(mask_of(widget.node, "left", widget.volume), GOOD)
    assert [change.tool for change in widget.panel.desk.folder.changes] == ["Mirror"]
    widget.ui.undoButton.click()
    assert np.array_equal(mask_of(widget.node, "right", widget.volume), before)


def test_where_no_middle_can_be_fitted_and_nothing_can_be_mirrored_it_is_told(
    correction: Any, scene: Any, until: Any
) -> None:
    widget = two_sides(correction, np.random.default_rng(0).normal(0, 1, HEAD.shape))
    mirror(widget, until)
    assert "no middle can be fitted; use the two masks" in widget.ui.statusLabel.text
    assert not widget.ui.acceptButton.enabled
    mirror(widget, until, source="right")
    assert widget.ui.statusLabel.text == "Choose the segment of the other side: right is the one in hand."
    widget.node.GetSegmentation().AddEmptySegment("nothing", "nothing")
    widget.panel.refresh()
    mirror(widget, until, source="nothing", middle=1)
    assert "segment 'nothing' is empty" in widget.ui.statusLabel.text
    mirror(widget, until, middle=1)
    assert widget.ui.acceptButton.enabled


def test_a_case_that_is_laid_away_while_the_middle_is_fitted_is_left_alone(
    correction: Any, scene: Any, desktop: Any
) -> None:
    widget = two_sides(correction, 100 * HEAD + 80 * (GOOD | SAME))
    widget.ui.sideSelector.setCurrentIndex(0)
    widget.ui.mirrorButton.click()
    slicer.mrmlScene.RemoveNode(widget.node)
    desktop.process_events(300)
    assert not widget.panel.mirroring.busy
    assert slicer.mrmlScene.GetFirstNodeByName("MedSeg preview") is None
