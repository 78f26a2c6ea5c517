"""The section of a report on a correction: what was added and removed, where, and what it took."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from medseg.correction.summary import Corrected, SegmentChange, change_map, compare
from medseg.report.html import Tile
from medseg.report.mosaic import draw, png
from medseg.report.slices import planes, slices
from medseg.segmentation import Segmentation

_PLACES = 3


@dataclass(frozen=True)
class Section:
    """What the template shows: the sentence, a picture of each of the largest changes, a line for each segment."""

    how: str
    tiles: tuple[Tile, ...]
    rows: tuple[Sequence[str], ...]


def section(corrected: Corrected) -> Section:
    """Draw the largest changes and write the table.

    Raises:
        BadInput: if the two masks lie on different grids.
    """
    changes = compare(corrected.before, corrected.after)
    return Section(corrected.how, tuple(_tiles(corrected)), tuple(_row(change) for change in changes))


def _tiles(corrected: Corrected) -> Iterator[Tile]:
    whole = change_map(corrected.before, corrected.after)
    labels = sitk.GetArrayFromImage(whole.labels)
    places, count = ndimage.label(labels)
    sizes = np.bincount(places.ravel(), minlength=count + 1)[1:]
    for place in np.argsort(-sizes, kind="stable")[:_PLACES] + 1:
        one = Segmentation(whole.geometry.image(np.where(places == place, labels, 0)), whole.segments)
        (cut,) = slices(corrected.image, one, planes(whole.geometry)[0], 1)
        yield Tile(png(draw(cut)), cut.plane.name, cut.position, tuple(segment.name for segment, _ in cut.masks))


def _row(change: SegmentChange) -> Sequence[str]:
    volumes = [f"{ml:.2f}" for ml in (change.before_ml, change.after_ml, change.added_ml, change.removed_ml)]
    if math.isnan(change.before_ml):  # a radiograph
        volumes = ["-", "-", f"{change.added_voxels} pixels", f"{change.removed_voxels} pixels"]
    return change.name, *volumes, f"{change.dice:.3f}"
