"""What a correction changed: where, how much, how far the surfaces moved, and what it took."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from medseg.atomic import check_place, replacing
from medseg.correction.folder import SessionFolder
from medseg.correction.records import Entry, Opened, Signed
from medseg.correction.session import Change
from medseg.errors import BadInput
from medseg.metrics import dice, surface_distances
from medseg.segmentation import Mask, Segment, Segmentation

IDLE = timedelta(minutes=2)
ADDED = Segment(1, "Added", (0.0, 0.8, 0.2))
REMOVED = Segment(2, "Removed", (0.9, 0.1, 0.1))
RELABELLED = Segment(3, "Moved to another segment", (0.95, 0.8, 0.1))


@dataclass(frozen=True)
class SegmentChange:
    """How one segment changed.

    Attributes:
        name: of the segment.
        before_ml, after_ml, added_ml, removed_ml: volumes in ml; not a number in 2D.
        added_voxels, removed_voxels: voxels.
        dice: of the first mask and the corrected one.
        mean_shift_mm: half the sum of the two mean distances from each surface to the nearest point of the other.
        maximum_shift_mm: the largest of these distances (Hausdorff). Both are infinite if one of the masks is empty.
    """

    name: str
    before_ml: float
    after_ml: float
    added_ml: float
    removed_ml: float
    added_voxels: int
    removed_voxels: int
    dice: float
    mean_shift_mm: float
    maximum_shift_mm: float

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values; what is infinite or not a number becomes None."""
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Summary:
    """A whole correction.

    Attributes:
        segments: what changed, segment by segment.
        seconds: time spent: pauses count up to `IDLE` each, the time in which the session was closed does not.
        interactions: how many changes were made, those taken back included.
        by_tool, by_author: the same, for each tool and each person.
        prompts: how many changes a positive and a negative prompt made.
        begun, ended: ISO 8601 times with zone.
        signed: verdicts of readers, oldest first, as plain JSON values.
    """

    segments: tuple[SegmentChange, ...]
    seconds: float
    interactions: int
    by_tool: Mapping[str, int]
    by_author: Mapping[str, int]
    prompts: Mapping[str, int]
    begun: str
    ended: str
    signed: tuple[Mapping[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "segments": [segment.as_json() for segment in self.segments]}


@dataclass(frozen=True, eq=False)
class Corrected:
    """A correction to be told of.

    Attributes:
        image: scalar, on the grid of the masks.
        before, after: the masks.
        how: what was done, in a sentence or two.
    """

    image: sitk.Image
    before: Segmentation
    after: Segmentation
    how: str


def compare(before: Segmentation, after: Segmentation) -> tuple[SegmentChange, ...]:
    """Measure what changed, for each segment of the corrected mask, and each of the first one that it lacks.

    Raises:
        BadInput: if the two lie on different grids.
    """
    _check_grids(before, after)
    return tuple(_change(before, after, segment) for segment in _segments(before, after))


def change_map(before: Segmentation, after: Segmentation) -> Segmentation:
    """Return a label map of what was added, what removed, and what went from one segment to another.

    Raises:
        BadInput: if the two lie on different grids.
    """
    _check_grids(before, after)
    added, removed = (np.zeros(before.geometry.shape, bool) for _ in range(2))
    for segment in _segments(before, after):
        old, new = _mask(before, segment), _mask(after, segment)
        added |= new & ~old
        removed |= old & ~new
    labels = np.where(added & removed, RELABELLED.value, added * ADDED.value + removed * REMOVED.value)
    return Segmentation(before.geometry.image(labels.astype(np.uint8)), (ADDED, REMOVED, RELABELLED))


def summarise(folder: SessionFolder) -> Summary:
    """Say what a session changed and what it took."""
    changes = folder.changes
    prompts = [change.prompt for change in changes if isinstance(change, Change) and change.prompt]
    signs = ["positive" if prompt.positive else "negative" for prompt in prompts]
    return Summary(
        compare(folder.start.segmentation, folder.session.segmentation),
        time_spent(folder.entries).total_seconds(),
        len(changes),
        dict(Counter(change.tool for change in changes)),
        dict(Counter(change.author for change in changes)),
        {sign: signs.count(sign) for sign in ("positive", "negative")},
        folder.entries[0].at.isoformat(),
        folder.entries[-1].at.isoformat(),
        tuple(_signature(signed) for signed in folder.signatures),
    )


def time_spent(entries: Sequence[Entry]) -> timedelta:
    """Add up the time between changes; longer pauses than `IDLE` count as that long, closed sessions not at all."""
    gaps = [
        min(max(later.at - earlier.at, timedelta(0)), IDLE)  # a clock may be set back
        for earlier, later in pairwise(entries)
        if not isinstance(later, Opened)
    ]
    return sum(gaps, timedelta(0))


def write(summary: Summary, path: Path) -> None:
    """Write a summary as JSON.

    Raises:
        BadInput: if the place will not do.
        Failed: if it cannot be written whole.
    """
    check_place(path)
    text = json.dumps(summary.as_json(), indent=2, allow_nan=False, ensure_ascii=False)
    with replacing(path) as (draft,):
        draft.write_text(text + "\n", encoding="utf-8")


def _signature(signed: Signed) -> dict[str, Any]:
    return asdict(signed) | {"at": signed.at.isoformat(), "agreement": dict(signed.agreement)}


def _check_grids(before: Segmentation, after: Segmentation) -> None:
    if not before.geometry.same_as(after.geometry):
        raise BadInput("the mask before and the mask after lie on different grids; compare masks of the same image")


def _segments(before: Segmentation, after: Segmentation) -> list[Segment]:
    """Return the segments of both, of those that both have the later; ordered by layer and value."""
    known = {_same(segment): segment for segment in (*before.segments, *after.segments)}
    return sorted(known.values(), key=lambda segment: (segment.layer, segment.value))


def _same(segment: Segment) -> object:
    """Return what makes a segment the same in two masks: its key, or its value where files gave it none."""
    return segment.key or (segment.layer, segment.value)


def _change(before: Segmentation, after: Segmentation, segment: Segment) -> SegmentChange:
    old, new = (_mask(side, segment) for side in (before, after))
    grid = before.geometry
    ml = grid.voxel_volume / 1000.0 if grid.dimension == 3 else math.nan
    added, removed = (int(np.count_nonzero(part)) for part in (new & ~old, old & ~new))
    mean, maximum = _shift(old, new, grid.spacing[::-1]) if added or removed else (0.0, 0.0)
    first, last = (int(np.count_nonzero(side)) * ml for side in (old, new))
    return SegmentChange(
        segment.name, first, last, added * ml, removed * ml, added, removed, dice(new, old), mean, maximum
    )


def _mask(side: Segmentation, segment: Segment) -> Mask:
    for own in side.segments:
        if _same(own) == _same(segment):
            return side.mask(own)
    # a label that has no name on this side
    return (
        side.mask(segment) if not segment.key and segment.layer < side.layers else np.zeros(side.geometry.shape, bool)
    )


def _shift(old: Mask, new: Mask, spacing: Sequence[float]) -> tuple[float, float]:
    if not (old.any() and new.any()):
        return math.inf, math.inf
    distances = surface_distances(new, old, spacing)
    largest = max(float(side.max()) for side in (distances.from_prediction, distances.from_reference))
    return distances.average_hausdorff_mm, largest
