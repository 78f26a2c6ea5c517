"""What is made small when a network learns to register (Mok and Chung 2020; Dalca et al. 2019; Balakrishnan et al.).

No reference deformation is needed: a pair is better registered where its images are more alike and space is bent less.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from medseg.registrars import flow, losses, pair_networks
from medseg.registrars.halves import Displacements, Halves, displacements
from medseg.registrars.velocity_field import roughness

VOXELS = (1.0, 1.0, 1.0)
_TINY = 1e-5


@dataclass(frozen=True)
class PairLoss:
    """A weighted sum; lengths are voxels. See `medseg.training.objectives.Objective`.

    The images of a batch are (batch, 2, i, j, k): fixed, moving; its labels (batch, 2, i, j, k), or empty.

    Attributes:
        similarity: a measure of `losses.LOSSES`, taken both ways, or "none" (images of two contrasts, by labels alone).
        smoothness: weight of the mean square of the velocities' first derivatives.
        orientation: weight of the mean negative part of the Jacobian determinants.
        magnitude: weight of the difference of the mean squared velocities of both directions.
        dice: weight of 1 - the soft Dice of the moved labels, mean over the classes of a pair (Balakrishnan et al.
            2019; Hoffmann et al. 2022).
    """

    similarity: str = "lncc"
    smoothness: float = 0.5
    orientation: float = 10.0
    magnitude: float = 0.001
    dice: float = 0.0

    def __post_init__(self) -> None:
        if self.similarity not in (*losses.LOSSES, "none"):
            raise ValueError(f"similarity is one of {', '.join(losses.LOSSES)}, or none")
        if self.similarity == "none" and not self.dice:
            raise ValueError("without similarity, give dice a weight")

    def __call__(
        self,
        network: torch.nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        fraction: float,  # noqa: ARG002  (nothing grows here)
    ) -> torch.Tensor:
        """See `medseg.training.objectives.Objective`."""
        pairs = zip(torch.split(images, 1), torch.split(labels, 1), strict=True)
        return torch.stack([self._of_pair(network, *pair) for pair in pairs]).mean()

    def _of_pair(self, network: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        halves = pair_networks.halves(network, images[:, :1], images[:, 1:])
        # sums over a whole volume want more digits than mixed precision has
        with torch.autocast(images.device.type, enabled=False):
            found = displacements(halves, VOXELS)
            total = self._bending(halves, found)
            if self.similarity != "none":
                total = total + self._unlikeness(turned(images), found)
            if self.dice and labels.numel():
                total = total + self.dice * (1 - moved_dice(turned(labels), found.there).mean())
        return total

    def _unlikeness(self, images: torch.Tensor, found: Displacements) -> torch.Tensor:
        measure, (fixed, moving) = losses.LOSSES[self.similarity], torch.split(images, 1, 1)
        there = measure(fixed)(flow.warped(moving, found.there, VOXELS))
        return 0.5 * (there + measure(moving)(flow.warped(fixed, found.back, VOXELS)))

    def _bending(self, halves: Halves, found: Displacements) -> torch.Tensor:
        first, second = halves
        rough = roughness(first, VOXELS) + roughness(second, VOXELS)
        folds = [functional.relu(-flow.determinants(field, VOXELS)).mean() for field in found]
        uneven = (first.square().mean() - second.square().mean()).abs()
        return self.smoothness * rough + self.orientation * (folds[0] + folds[1]) + self.magnitude * uneven


def turned(voxels: torch.Tensor) -> torch.Tensor:
    """From (batch, channels, i, j, k) to (batch, channels, k, j, i), and back."""
    return voxels.permute(0, 1, 4, 3, 2).contiguous()


def moved_dice(labels: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Soft Dice of each class that a pair has, after the moving one's labels are read through a field in voxels.

    Args:
        labels: of the fixed and the moving image, (1, 2, k, j, i), 0 for background.
        field: (1, 3, k, j, i).
    """
    fixed, moving = torch.split(labels, 1, 1)
    values = torch.unique(labels)
    classes = values[values > 0].view(1, -1, 1, 1, 1)
    here, there = (fixed == classes).float(), flow.warped((moving == classes).float(), field, VOXELS)
    both = (here * there).sum((2, 3, 4))
    found: torch.Tensor = (2 * both + _TINY) / (here.sum((2, 3, 4)) + there.sum((2, 3, 4)) + _TINY)
    return found
