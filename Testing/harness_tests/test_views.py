"""Rendered views: the picture follows the scene."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import needed

needed.core()
needed.graphics()

import slicer  # noqa: E402

from harness.layout import four_up  # noqa: E402
from harness.views import NoGraphics, SliceView, ThreeDView, View  # noqa: E402

SIZE = (160, 160)


@pytest.fixture
def view(application: Any, scene: Any) -> Iterator[Callable[..., Any]]:
    opened: list[View] = []

    def make(kind: Any, *name: str) -> Any:
        opened.append(kind(application, *name, size=SIZE))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def ball(scene: Any) -> Any:
    """A volume of 32^3 with a bright ball."""
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, 32)] * 3, indexing="ij"))
    array = np.where(np.linalg.norm(place, axis=0) < 0.7, 200, 20).astype(np.int16)
    return slicer.util.addVolumeFromArray(array, name="Ball")


def segment(ball: Any) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(ball)
    segment_id = node.GetSegmentation().AddEmptySegment("ball")
    node.GetSegmentation().GetSegment(segment_id).SetColor(1, 0, 0)
    mask = (slicer.util.arrayFromVolume(ball) > 100).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment_id, ball)
    return node


@pytest.mark.parametrize("name", ["Red", "Yellow", "Green"])
def test_a_shown_volume_is_in_the_picture(view: Any, ball: Any, name: str) -> None:
    opened = view(SliceView, name)
    empty = opened.pixels()
    opened.show(ball)
    middle = opened.pixels()[60:100, 60:100]
    assert empty[60:100, 60:100].mean() < 10
    assert middle.mean() > 100


def test_segments_lie_over_the_image_and_do_not_hide_it(view: Any, ball: Any) -> None:
    opened = view(SliceView, "Red")
    opened.show(ball)
    before = opened.pixels()[80, 80].astype(int)
    segment(ball)
    after = opened.pixels()[80, 80].astype(int)
    assert after[0] > after[1] + 20, "red fill"
    assert before.min() > 100
    assert after[1] > 30, "the image shines through"


def test_a_surface_is_in_the_3d_view(view: Any, ball: Any) -> None:
    opened = view(ThreeDView)
    opened.pixels()
    node = segment(ball)
    opened.fit()
    before = opened.pixels().astype(int)
    node.CreateClosedSurfaceRepresentation()
    opened.fit()
    red = opened.pixels().astype(int)
    assert np.abs(red - before).max() > 50
    assert (red[..., 0] > red[..., 2] + 50).sum() > 500


def test_a_picture_is_written(view: Any, ball: Any, tmp_path: Path) -> None:
    from PIL import Image

    opened = view(SliceView, "Red")
    opened.show(ball)
    written = np.asarray(Image.open(opened.write(tmp_path / "red.png")))
    assert np.array_equal(written, opened.pixels())


def test_views_survive_a_closed_scene(application: Any, view: Any, ball: Any) -> None:
    opened = view(SliceView, "Red")
    opened.show(ball)
    opened.pixels()
    opened.close()
    application.clear()
    assert view(SliceView, "Red").pixels()[60:100, 60:100].mean() < 10


def test_four_views_are_the_layout_manager_while_they_are_open(application: Any, ball: Any, tmp_path: Path) -> None:
    from PIL import Image

    with four_up(application, SIZE) as layout:
        assert slicer.app.layoutManager() is layout
        slicer.util.setSliceViewerLayers(background=ball, fit=True)
        segment(ball).CreateClosedSurfaceRepresentation()
        slicer.util.resetThreeDViews()
        picture = np.asarray(Image.open(layout.write(tmp_path / "four.png"))).astype(int)
    assert slicer.app.layoutManager() is None
    for quarter in (picture[:160, :160], picture[160:, :160], picture[160:, 160:], picture[:160, 160:]):
        assert (quarter[..., 0] > quarter[..., 1] + 40).sum() > 500, "red is in every view"


def test_without_graphics_a_view_says_why_and_does_not_crash(application: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.graphics.fault", lambda: "libEGL is missing")
    with pytest.raises(NoGraphics, match="libEGL is missing"):
        SliceView(application, "Red")
