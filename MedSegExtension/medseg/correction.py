"""How a segmentation changes: by patches, the one unit of edit, log entry and wire message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import SimpleITK as sitk

from medseg.geometry import Geometry, cut, paste
from medseg.segmentation import Segmentation


@dataclass(frozen=True, eq=False)
class Patch:
    """A crop of the label image before and after; both carry their own origin and lie on the same grid."""

    before: sitk.Image
    after: sitk.Image

    def __post_init__(self) -> None:
        """Refuse a patch whose halves do not lie on each other."""
        if not Geometry.of(self.before).same_as(Geometry.of(self.after)):
            raise ValueError("before and after of a patch must lie on the same grid")

    @property
    def reversed(self) -> Patch:
        """The patch that takes this one back."""
        return Patch(self.after, self.before)

    @classmethod
    def between(cls, before: sitk.Image, after: sitk.Image) -> Patch | None:
        """Return the smallest patch from one label image to another on the same grid; None if nothing differs."""
        changed = sitk.GetArrayViewFromImage(before) != sitk.GetArrayViewFromImage(after)
        if not changed.any():
            return None
        spans = [
            np.flatnonzero(changed.any(axis=tuple(b for b in range(changed.ndim) if b != a)))
            for a in reversed(range(changed.ndim))
        ]
        start = [int(s[0]) for s in spans]
        size = [int(s[-1] - s[0] + 1) for s in spans]
        return cls(cut(before, start, size), cut(after, start, size))


@dataclass(frozen=True, eq=False)
class Change:
    """A patch, who made it, when, and with what."""

    patch: Patch
    author: str
    at: datetime
    tool: str = ""


class CorrectionSession:
    """A segmentation being corrected, and everything that was done to it, in order."""

    def __init__(self, segmentation: Segmentation) -> None:
        """Begin with a segmentation; its image is never written to."""
        self._segments = segmentation.segments
        self._labels = segmentation.labels
        self._log: list[Change] = []

    @property
    def segmentation(self) -> Segmentation:
        """The segmentation as it stands."""
        return Segmentation(self._labels, self._segments)

    @property
    def log(self) -> Sequence[Change]:
        """All changes so far, oldest first."""
        return tuple(self._log)

    def record(self, change: Change) -> None:
        """Apply a change and keep it.

        Raises:
            ValueError: if the patch does not start from the voxels that are there (somebody else changed them).
        """
        crop = self._under(change.patch.before)
        if Patch.between(crop, change.patch.before) is not None:
            raise ValueError("the voxels under the patch have changed since it was made; make it again")
        self._labels = paste(self._labels, change.patch.after)
        self._log.append(change)

    def _under(self, crop: sitk.Image) -> sitk.Image:
        where = Geometry.of(self._labels).slices_of(Geometry.of(crop))
        start = [s.start for s in reversed(where)]
        return cut(self._labels, start, [s.stop - s.start for s in reversed(where)])
