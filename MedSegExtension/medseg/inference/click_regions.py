"""Boxes of an image and of the cube that a click is looked at in."""

from __future__ import annotations

import numpy as np

from medseg.inference.click_channels import Click
from medseg.inference.click_view import Region
from medseg.interactive.marks import Marks
from medseg.segmentation import Mask


def voxel(click: Click) -> tuple[int, int, int]:
    """Return the voxel that a click is in."""
    i, j, k = (round(place) for place in click.place)
    return i, j, k


def solid(marks: Marks, dimension: int) -> Marks:
    """Return marks in three axes; a picture is a volume of one slice."""
    flat = dimension - len(marks.where)
    ahead = (slice(0, 1),) * flat
    shape = (1,) * flat
    seeds, outside = (part.reshape(shape + part.shape) for part in (marks.seeds, marks.outside))
    return Marks((*ahead, *marks.where), seeds, outside, marks.limit)


def within(marks: Marks, region: Region) -> Mask:
    """Return which voxels of a region a prompt that has limits may change."""
    inside = np.zeros([s.stop - s.start for s in region], bool)
    common = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(marks.where, region, strict=True)]
    if any(s.stop <= s.start for s in common):
        return inside
    here = tuple(slice(c.start - r.start, c.stop - r.start) for c, r in zip(common, region, strict=True))
    there = tuple(slice(c.start - w.start, c.stop - w.start) for c, w in zip(common, marks.where, strict=True))
    inside[here] = ~marks.outside[there]
    return inside


def union(first: Region, other: Region) -> Region:
    """Return the smallest box that holds two."""
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, other, strict=True))
