"""What a network answers to a click in one cube around it, and which of several cubes answers best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.special import expit

from medseg.correction.patch import changed_box
from medseg.inference.click_view import Floats, Region, View
from medseg.segmentation import Mask

_CUT_OFF = 0.3
_LEAST_EXTENT = 8
_CHANCE = 0.05
_UNSURE, _BEYOND = -3.0, 0.5


@dataclass(frozen=True, eq=False)
class Look:
    """An answer in a cube of `view.count` voxels a side.

    Attributes:
        view: where the cube lies.
        logits: by how much each voxel is for the change.
        level: the logit of the structure from which on a voxel is inside.
        answer: what changes, as far as it hangs together with the click; the click is always part of it.
    """

    view: View
    logits: Floats
    level: float
    answer: Mask

    @cached_property
    def box(self) -> Region:
        """The voxels of the cube around the answer."""
        nothing = np.zeros(self.answer.shape, np.uint8)
        return changed_box(nothing, self.answer.view(np.uint8), 3) or (slice(0, self.view.count),) * 3

    @property
    def extent(self) -> int:
        """The longest side of the answer, in voxels of the cube."""
        return max(int(span.stop - span.start) for span in self.box)

    @cached_property
    def cut_off(self) -> bool:
        """Whether the answer reaches a face of the cube beyond which the image goes on."""
        last = self.view.count - 1
        for span, whole, n in zip(self.box, self.view.region, self.view.shape, strict=True):
            if (whole.start > 0 and span.start <= 1) or (whole.stop < n and span.stop > last - 1):
                return True
        return False

    @property
    def confidence(self) -> float:
        """The mean probability of what is in the answer; less where it is cut off, or too small to have a shape."""
        sure = float(expit(self.logits[self.answer]).mean())
        return sure * (_CUT_OFF if self.cut_off else 1.0) * min(1.0, self.extent / _LEAST_EXTENT)

    def agreement(self, wider: Look) -> float:
        """Return the overlap (intersection over union) with the answer of a wider cube about the same place."""
        index = (np.arange(wider.view.count) - wider.view.middle) * wider.view.step / self.view.step + self.view.middle
        inside = (index >= 0) & (index <= self.view.count - 1)
        places = np.clip(np.rint(index), 0, self.view.count - 1).astype(int)
        mine = self.answer[np.ix_(places, places, places)] & (
            inside[:, None, None] & inside[None, :, None] & inside[None, None, :]
        )
        return float((mine & wider.answer).sum() / (mine | wider.answer).sum())


def best_of(looks: Sequence[Look]) -> Look:
    """Return the answer of the cube that is sure of it and agrees with the next wider or narrower one.

    Cubes too narrow show the inside of something alone, cubes too wide show it too small; between them answers agree.

    Args:
        looks: from the narrowest to the widest cube, about the same place.
    """
    agreements = [narrow.agreement(wide) for narrow, wide in pairwise(looks)]

    def goodness(number: int) -> float:
        beside = agreements[max(0, number - 1) : number + 1]
        return looks[number].confidence * (max(beside, default=1.0) + _CHANCE)

    return looks[max(range(len(looks)), key=goodness)]


def distance_to(border: Mask, seeds: Mask) -> float:
    """Return how many voxels the nearest one of `border` lies from the seeds; infinite if there is none."""
    aims = border & ~seeds
    return float(ndimage.distance_transform_edt(~seeds)[aims].min()) if aims.any() else float("inf")


def level_of(clicked_on: Floats, positive: bool) -> float:
    """Return the logit from which on a voxel is inside: 0, or what is needed to agree with the click."""
    if positive:
        return max(_UNSURE, min(0.0, float(clicked_on.max()) - _BEYOND))
    return min(-_UNSURE, max(0.0, float(clicked_on.min()) + _BEYOND))
