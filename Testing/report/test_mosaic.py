import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from medseg.report.mosaic import draw, mosaic, png
from medseg.report.slices import AXIAL, PICTURE, Slice
from medseg.segmentation import Segment

RED = Segment(1, "Disc", (1.0, 0.0, 0.0))


def disc(shape, center, radius, spacing=(1.0, 1.0)):
    rows, columns = np.indices(shape)
    return ((rows - center[0]) * spacing[0]) ** 2 + ((columns - center[1]) * spacing[1]) ** 2 <= radius**2


def a_slice(mask, spacing=(1.0, 1.0), plane=PICTURE, position="", segment=RED):
    gray = np.full(mask.shape, 0.4, np.float32)
    return Slice(plane, position, gray, spacing, ((segment, mask),))


def red(pixels):
    return (pixels[..., 0].astype(int) - pixels[..., 1] > 80) & (pixels[..., 0] > 120)


def box(mask):
    rows, columns = np.nonzero(mask)
    return np.ptp(rows) + 1, np.ptp(columns) + 1


def test_the_outline_lies_on_the_border_of_the_mask():
    mask = disc((60, 80), (30, 45), 20)
    drawn = draw(a_slice(mask), (320, 480))
    assert drawn.shape == (240, 320, 3)
    enlarged = mask.repeat(4, 0).repeat(4, 1)
    border = enlarged ^ ndimage.binary_erosion(enlarged)
    line = red(drawn)
    assert ndimage.distance_transform_edt(~border)[line].max() <= 4
    assert ndimage.distance_transform_edt(~line)[border].max() <= 4


def test_the_anatomy_lies_under_its_outline():
    bright = disc((60, 80), (20, 55), 12)
    drawn = draw(Slice(PICTURE, "", bright.astype(np.float32), (1.0, 1.0), ()), (320, 480))
    enlarged = bright.repeat(4, 0).repeat(4, 1)
    assert ((drawn[..., 0] > 127) == enlarged).mean() > 0.99
    assert (drawn[..., 0] == drawn[..., 2]).all()


def test_every_segment_is_outlined_in_its_own_colour():
    left, right = disc((50, 80), (25, 20), 12), disc((50, 80), (25, 60), 12)
    blue = Segment(2, "Other", (0.0, 0.0, 1.0))
    cut = Slice(PICTURE, "", np.zeros((50, 80), np.float32), (1.0, 1.0), ((RED, left), (blue, right)))
    drawn = draw(cut, (320, 480))
    bluish = drawn[..., 2].astype(int) - drawn[..., 0] > 80
    assert np.nonzero(red(drawn))[1].max() < 160 < np.nonzero(bluish)[1].min()


def test_where_two_outlines_meet_the_smaller_structure_is_on_top():
    whole, part = disc((60, 60), (30, 30), 20), disc((60, 60), (30, 30), 20)
    part[:, 30:] = False
    green = Segment(2, "Whole", (0.0, 1.0, 0.0))
    for masks in (((RED, part), (green, whole)), ((green, whole), (RED, part))):
        drawn = draw(Slice(PICTURE, "", np.zeros((60, 60), np.float32), (1.0, 1.0), masks), (300, 300))
        assert red(drawn)[150, :100].any()


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (5.0, 1.0), (0.8, 3.2)])
def test_a_circle_in_millimetres_is_a_circle_in_the_picture(spacing):
    shape = round(120 / spacing[0]), round(150 / spacing[1])
    mask = disc(shape, [(n - 1) / 2 for n in shape], 40, spacing)
    height, width = box(red(draw(a_slice(mask, spacing), (300, 480))))
    assert height == pytest.approx(width, abs=2 * max(spacing) * 2 + 2)
    assert width == pytest.approx(160, abs=2 * max(spacing) * 2 + 2)


def test_lines_of_a_large_picture_are_wider():
    cut = a_slice(disc((50, 50), (25, 25), 20))
    small, large = red(draw(cut, (320, 320))), red(draw(cut, (960, 960)))
    assert large.sum() / small.sum() > 1.5 * 3


def test_an_outline_is_closed_at_the_edge_of_the_picture():
    drawn = red(draw(a_slice(np.ones((30, 40), bool)), (320, 480)))
    for edge in (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]):
        assert edge[40:-40].all()


def test_letters_and_position_are_written_at_the_edges():
    blank = np.zeros((100, 100), bool)
    drawn = draw(Slice(AXIAL, "S 12 mm", blank.astype(np.float32), (1.0, 1.0), ()), (300, 300))
    white = drawn.min(axis=-1) > 200
    for edge in (white[130:170, :30], white[130:170, -30:], white[:30, 130:170], white[-30:, 130:170]):
        assert edge.any()
    assert white[-30:, 200:].any()
    assert not white[40:-40, 40:-40].any()


def test_a_thin_volume_has_room_for_its_letters():
    drawn = draw(a_slice(np.ones((2, 100), bool), plane=AXIAL), (300, 300))
    assert drawn.shape == (96, 300, 3)
    height, width = box(red(drawn))
    assert height <= 10
    assert width > 290


def test_a_mosaic_is_its_tiles_row_by_row():
    tiles = [np.full((20, 30, 3), value, np.uint8) for value in (10, 20, 30, 40)]
    board = mosaic(tiles, columns=3)
    assert board.shape == (44, 98, 3)
    assert [board[5, 5, 0], board[5, 39, 0], board[5, 73, 0], board[29, 5, 0], board[29, 39, 0]] == [10, 20, 30, 40, 0]
    assert mosaic(tiles[:1]).shape == (20, 30, 3)


def test_png_keeps_size_greys_and_colours():
    drawn = draw(a_slice(disc((60, 80), (30, 45), 20)), (320, 480))
    drawn[:, :, :] = np.where(red(drawn)[..., None], drawn, np.linspace(0, 255, 320).astype(np.uint8)[None, :, None])
    with Image.open(io.BytesIO(png(drawn))) as picture:
        assert (picture.format, picture.size) == ("PNG", (320, 240))
        back = np.asarray(picture.convert("RGB")).astype(int)
    assert np.percentile(np.abs(back - drawn).max(axis=-1), 99) <= 12
    assert (red(back) == red(drawn)).mean() > 0.999


def test_drawing_leaves_no_figure_behind():
    import sys

    draw(a_slice(np.ones((8, 8), bool)))
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
