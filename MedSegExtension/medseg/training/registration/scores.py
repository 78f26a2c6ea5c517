"""How well a network lays the images of held-out pairs on one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from medseg.progress import Progress
from medseg.registrars import flow, losses, pair_networks
from medseg.registrars.halves import displacements
from medseg.training.hardware import Hardware
from medseg.training.registration.objective import VOXELS, turned
from medseg.training.samples import Sample
from medseg.training.validation import Fixed


@dataclass(frozen=True)
class PairScores:
    """One pair, before and after registration.

    Attributes:
        similarity: mean squared local correlation, in [0, 1]; `similarity_before` without any registration.
        dice: of each class that the pair has; `dice_before` without any registration.
        folded_percent: of voxels, as the network gives it (`medseg register` undoes folds).
        sd_log_jacobian: spread of the logarithm of the Jacobian determinant, of what is left without folds.
    """

    similarity: float
    similarity_before: float
    dice: dict[str, float]
    dice_before: dict[str, float]
    folded_percent: float
    sd_log_jacobian: float


def scored(network: torch.nn.Module, pairs: Fixed, hardware: Hardware, progress: Progress) -> list[PairScores]:
    """Score every pair."""
    network.eval()
    found = []
    for number, pair in enumerate(pairs):
        progress(number / len(pairs), f"pair {number + 1} of {len(pairs)}")
        with torch.no_grad():
            found.append(_scored(network, pair, hardware.device))
    return found


def mean(found: Sequence[PairScores]) -> dict[str, Any]:
    """Return the means over pairs as JSON values; a class counts where it occurs."""
    numbers = ("similarity", "similarity_before", "folded_percent", "sd_log_jacobian")
    told: dict[str, Any] = {name: round(float(np.mean([getattr(one, name) for one in found])), 4) for name in numbers}
    for name in ("dice", "dice_before"):
        of = by_class([getattr(one, name) for one in found])
        told |= {f"{name}_of": of, name: round(float(np.mean(list(of.values()))), 4) if of else None}
    return told


def by_class(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean Dice of each class over the pairs that have it."""
    classes = sorted({name for one in found for name in one}, key=int)
    return {name: float(np.mean([one[name] for one in found if name in one])) for name in classes}


def _scored(network: torch.nn.Module, pair: Sample, device: torch.device) -> PairScores:
    images, labels = pair.image[None].to(device), pair.labels[None].to(device)
    halves = pair_networks.halves(network, images[:, :1], images[:, 1:])
    field = displacements(halves, VOXELS).there
    fixed, moving = torch.split(turned(images), 1, 1)
    alike = losses.lncc(fixed)
    still = torch.zeros_like(field)
    dice, dice_before = (_dice(turned(labels), one) if labels.numel() else {} for one in (field, still))
    determinants = flow.determinants(field, VOXELS)
    return PairScores(
        -float(alike(flow.warped(moving, field, VOXELS))),
        -float(alike(moving)),
        dice,
        dice_before,
        100 * float((determinants <= 0).float().mean()),
        float(determinants.clamp(min=1e-6).log().std()),
    )


def _dice(labels: torch.Tensor, field: torch.Tensor) -> dict[str, float]:
    """Dice of each class after the moving labels are read at the nearest voxel."""
    fixed, moving = torch.split(labels, 1, 1)
    where = flow.places(field * flow.unit_scale(field.shape[2:], VOXELS, field))
    moved = flow.read(moving.float(), where, mode="nearest").round().long()
    found = {}
    for value in torch.unique(labels).tolist():
        both = fixed == value, moved == value
        total = int(both[0].sum() + both[1].sum())
        if value > 0 and total:
            found[str(value)] = 2 * int((both[0] & both[1]).sum()) / total
    return found
