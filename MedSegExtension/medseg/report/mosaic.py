"""Slices drawn with the outlines of what was found in them, one by one and side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from PIL import Image

from medseg.report.slices import Slice
from medseg.segmentation import Mask, Segment

Pixels = npt.NDArray[np.uint8]

TILE = (320, 480)
PICTURE = (1000, 1000)
_SMALLEST = (200, 96)
_GAP = 4
_DPI = 100
_LETTER_PX = 20
_POSITION_PX = 16
_LINE_PX = 1.8
_LETTER_PLACES = ((0.0, 0.5, "left", "center"), (1.0, 0.5, "right", "center"),
                  (0.5, 1.0, "center", "top"), (0.5, 0.0, "center", "bottom"))  # fmt: skip


def draw(cut: Slice, largest: tuple[int, int] = TILE) -> Pixels:
    """Draw a slice with its outlines and letters, in its true proportions, on black.

    Args:
        cut: the slice.
        largest: width and height in pixels that the anatomy may fill.

    Returns:
        RGB, shape (height, width, 3).
    """
    height, width = _pixels(cut, largest)
    canvas = max(width, _SMALLEST[0]), max(height, _SMALLEST[1])
    figure = Figure(figsize=(canvas[0] / _DPI, canvas[1] / _DPI), dpi=_DPI, facecolor="black")
    renderer = FigureCanvasAgg(figure)
    box = (0.5 - width / canvas[0] / 2, 0.5 - height / canvas[1] / 2, width / canvas[0], height / canvas[1])
    # a large picture is shrunk on a phone, and its lines with it
    line = _LINE_PX * max(width / TILE[0], 1.0) ** 0.5
    _fill(figure.add_axes(box), cut, line * 72 / _DPI)
    _write(figure, cut)
    renderer.draw()
    return np.asarray(renderer.buffer_rgba())[..., :3].copy()


def mosaic(tiles: Sequence[Pixels], columns: int = 3) -> Pixels:
    """Put pictures of one size side by side, row by row, on black."""
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    across = min(columns, len(tiles))
    board = np.zeros((rows * (height + _GAP) - _GAP, across * (width + _GAP) - _GAP, 3), np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * (height + _GAP), number % columns * (width + _GAP)
        board[top : top + height, left : left + width] = tile
    return board


def png(pixels: Pixels) -> bytes:
    """Encode as PNG with a palette of 256 colours: a third of the bytes, and no difference to the eye."""
    buffer = io.BytesIO()
    few = Image.fromarray(pixels).quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _pixels(cut: Slice, largest: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the anatomy."""
    height, width = cut.extent
    scale = min(largest[0] / width, largest[1] / height)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def _fill(axes: Axes, cut: Slice, line: float) -> None:
    height, width = cut.extent
    axes.set_axis_off()
    axes.imshow(
        cut.gray, cmap="gray", vmin=0, vmax=1, extent=(0, width, height, 0), aspect="auto", interpolation="bilinear"
    )
    # the smaller on top: a line that two structures share then shows the inner one
    for segment, mask in sorted(cut.masks, key=lambda pair: -np.count_nonzero(pair[1])):
        outline = _outline(axes, segment, mask, cut.spacing)
        outline.set(linewidth=line, path_effects=[withStroke(linewidth=2 * line, foreground="black", alpha=0.4)])
    axes.set(xlim=(0, width), ylim=(height, 0))


def _outline(axes: Axes, segment: Segment, mask: Mask, spacing: tuple[float, float]) -> ContourSet:
    """Draw the line half-way between the centres of pixels inside and outside, closed at the picture's edge."""
    padded = np.pad(mask, 1).astype(np.float32)
    y, x = ((np.arange(n) - 0.5) * s for n, s in zip(padded.shape, spacing, strict=True))
    color = tuple(float(np.clip(c, 0.0, 1.0)) for c in segment.color)
    return axes.contour(x, y, padded, levels=[0.5], colors=[color])


def _write(figure: Figure, cut: Slice) -> None:
    edge = 4 / figure.bbox.width, 4 / figure.bbox.height
    for letter, (x, y, across, up) in zip(cut.plane.edges, _LETTER_PLACES, strict=False):
        place = x + edge[0] * (1 - 2 * x), y + edge[1] * (1 - 2 * y)
        _text(figure.text(*place, letter, ha=across, va=up, fontweight="bold"), _LETTER_PX)
    _text(figure.text(1 - edge[0], edge[1], cut.position, ha="right", va="bottom"), _POSITION_PX)


def _text(text: Text, pixels: int) -> None:
    text.set(color="white", fontsize=pixels * 72 / _DPI, path_effects=[withStroke(linewidth=2.5, foreground="black")])
