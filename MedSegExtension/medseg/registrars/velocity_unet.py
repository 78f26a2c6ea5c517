"""A U-Net that looks at two images and gives one stationary velocity field, after VoxelMorph (Dalca et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

_SLOPE = 0.2
_STILL = 1e-5


class VelocityUNet(nn.Module):
    """Halvings by strided convolutions, doublings by repetition, and a last convolution that begins near zero.

    Images are (1, 1, i, j, k); so are the two results, with 3 channels, last axis first. They are the negative of each
    other: the field is one, and each half of the way is half of it. A unit is a voxel.
    """

    voxels_a_unit = 1.0
    multiple = 1

    def __init__(self, channels: Sequence[int] = (16, 32, 32, 32)) -> None:
        """Take the channels of each resolution, finest first; each but the first is half of the one before."""
        super().__init__()
        finest, *coarser = channels
        taken = [finest, *coarser]
        self.first = nn.Conv3d(2, finest, 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv3d(a, b, 3, stride=2, padding=1) for a, b in zip(taken[:-1], coarser, strict=True)
        )
        self.up = nn.ModuleList(
            nn.Conv3d(a + b, b, 3, padding=1) for a, b in zip(reversed(coarser), reversed(taken[:-1]), strict=True)
        )
        self.last = nn.Conv3d(finest, 3, 3, padding=1, bias=False)
        nn.init.normal_(self.last.weight, std=_STILL)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the velocity from the first image and that from the second, half-way to each other."""
        features = functional.leaky_relu(self.first(torch.cat([first, second], 1)), _SLOPE)
        kept = [features]
        for halving in self.down:
            kept.append(functional.leaky_relu(halving(kept[-1]), _SLOPE))
        features = kept.pop()
        for doubling in self.up:
            beside = kept.pop()
            wide = functional.interpolate(features, size=beside.shape[2:])
            features = functional.leaky_relu(doubling(torch.cat([wide, beside], 1)), _SLOPE)
        velocity = self.last(features)
        return -velocity, velocity
