"""What a network of velocities in both directions means: the two halves of a symmetric deformation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from medseg.registrars import flow

SQUARINGS = 7
_RIM = 5  # for SYMNet as published


class Halves(NamedTuple):
    """Velocities from the first and from the second image towards each other, (1, 3, k, j, i), channels (i, j, k)."""

    first: torch.Tensor
    second: torch.Tensor


class Displacements(NamedTuple):
    """Where the voxels of the first image lie in the second and the other way round, in the form of `Halves`."""

    there: torch.Tensor
    back: torch.Tensor


def velocity(units: torch.Tensor, scale: float, rim: int = _RIM) -> torch.Tensor:
    """From what a network gives, (1, 3, i, j, k), last axis first, to (1, 3, k, j, i), channels (i, j, k), scaled.

    It fades to zero over the outermost `rim` voxels: beyond its grid a displacement field of ITK does nothing, and what
    moves at the edge would tear there.
    """
    values = units.permute(0, 1, 4, 3, 2).flip(1) * scale
    for dim in range(2, values.ndim):
        ramp = torch.arange(values.shape[dim], dtype=torch.float32, device=values.device)
        inside = (torch.minimum(ramp, ramp.flip(0)) / rim).clamp(0, 1)
        values = values * inside.view(-1, *[1] * (values.ndim - 1 - dim))
    return values.contiguous()


def displacements(halves: Halves, spacing: Sequence[float]) -> Displacements:
    """Go from each image to the middle and on to the other (Mok and Chung 2020); lengths in the unit of `spacing`."""
    if torch.equal(halves.first, -halves.second):  # a single field, for which going on is squaring once more
        ways = (flow.exponential(2 * one, spacing, SQUARINGS + 1) for one in reversed(halves))
        return Displacements(*ways)
    there = _joined(halves.second, halves.first, spacing)
    return Displacements(there, _joined(halves.first, halves.second, spacing))


def _joined(own: torch.Tensor, other: torch.Tensor, spacing: Sequence[float]) -> torch.Tensor:
    """Go half-way by one's own velocity and the other half against the other's."""
    first = flow.exponential(own, spacing, SQUARINGS)
    second = flow.exponential(-other, spacing, SQUARINGS)
    return first + flow.warped(second, first, spacing)
