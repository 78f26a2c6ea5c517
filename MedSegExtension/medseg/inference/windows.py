"""Where windows lie on a volume, and how much each of their voxels counts where they overlap.

The places and the weights are MONAI's (`sliding_window_inference`), so that labels can be compared voxel by voxel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

_SMALLEST_WEIGHT = 1e-3  # as MONAI: no voxel of a window counts for nothing


@dataclass(frozen=True)
class Windows:
    """A window size in voxels along the axes of the tensor; empty for the whole volume in one pass.

    Attributes:
        size: voxels along each axis.
        overlap: the fraction of a window that its neighbour shares, in [0, 1).
        batch: how many windows go through the network at once.
        blending: "gaussian" trusts the middle of a window most, "constant" all of it alike.
        sigma: width of the Gaussian as a fraction of the window.
        divisor: the volume is padded so that each axis is a multiple of it (whole volume only).
    """

    size: tuple[int, ...] = ()
    overlap: float | tuple[float, ...] = 0.25
    batch: int = 1
    blending: Literal["gaussian", "constant"] = "gaussian"
    sigma: float = 0.125
    divisor: int = 1

    def on(self, shape: Sequence[int]) -> Windows:
        """Return these windows with their size made definite for a volume of this shape."""
        if self.size:
            return self
        return replace(self, size=tuple(math.ceil(n / self.divisor) * self.divisor for n in shape))

    def padding(self, shape: Sequence[int]) -> list[tuple[int, int]]:
        """How many voxels to add before and after each axis so that one window fits."""
        missing = [max(0, w - n) for w, n in zip(self.on(shape).size, shape, strict=True)]
        return [(m // 2, m - m // 2) for m in missing]

    def starts(self, shape: Sequence[int]) -> list[list[int]]:
        """First indices of the windows along each axis of a volume that is at least a window large."""
        overlaps = self.overlap if isinstance(self.overlap, tuple) else (self.overlap,) * len(shape)
        axes = zip(shape, self.on(shape).size, overlaps, strict=True)
        return [_starts(length, window, overlap) for length, window, overlap in axes]

    def weights(self, device: torch.device) -> torch.Tensor:
        """Blending weights of one window, float32, shape `size`."""
        weights = torch.ones(self.size, device=device)
        if self.blending == "gaussian":
            for axis, length in enumerate(self.size):
                shape = [1] * len(self.size)
                shape[axis] = length
                weights = weights * _gaussian(length, self.sigma, device).reshape(shape)
        return weights.clamp_(min=max(float(weights.min()), _SMALLEST_WEIGHT))

    def halved(self) -> Windows:
        """Return windows of half the size, for when memory ran out; axes of 32 voxels or less stay."""
        size = tuple(w if w <= 32 else max(32, 16 * math.ceil(w / 32)) for w in self.size)
        return replace(self, size=size)


def _starts(length: int, window: int, overlap: float) -> list[int]:
    step = max(1, int(window * (1 - overlap)))
    last = length - window
    return [*range(0, last, step), last] if last > 0 else [0]


def _gaussian(length: int, sigma: float, device: torch.device) -> torch.Tensor:
    offsets = torch.arange(length, device=device, dtype=torch.float32) - (length - 1) / 2
    return torch.exp(-(offsets**2) / (2 * (sigma * length) ** 2))
