"""What a training makes small. An objective runs the network itself, since some need the labels on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import torch
from torch.nn import functional

from medseg.errors import BadInput
from medseg.training.clicks.objective import Clicks
from medseg.training.config import REGISTRATION, Loss
from medseg.training.elbo import Elbo
from medseg.training.evidence import Evidence
from medseg.training.indexed_dice import DeeplySupervised, dice_and_cross_entropy
from medseg.training.registration.objective import PairLoss

Outputs = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From logits (batch, classes, i, j, k) and labels (batch, 1, i, j, k) to a scalar."""


class Objective(Protocol):
    """From a batch to the scalar that is made small."""

    def __call__(
        self, network: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, fraction: float
    ) -> torch.Tensor:
        """Run the network and judge it.

        Args:
            network: in training mode.
            images: float32, (batch, channels, i, j, k).
            labels: int64, (batch, i, j, k).
            fraction: how much of the training is done, in [0, 1), for terms that grow.
        """


class OfOutputs:
    """Judges a network by its outputs alone; of several outputs by the first."""

    def __init__(self, judge: Outputs) -> None:
        self._judge = judge

    def __call__(
        self,
        network: torch.nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        fraction: float,  # noqa: ARG002  (nothing grows here)
    ) -> torch.Tensor:
        """See `Objective`."""
        outputs = network(images)
        first = outputs[0] if isinstance(outputs, list | tuple) else outputs
        return self._judge(first.float(), labels[:, None])


def objective(loss: Loss) -> Objective:
    """Build the objective that a configuration names.

    Raises:
        BadInput: if there is none of this name, or it does not take these options.
    """
    if loss.name not in OBJECTIVES:
        raise BadInput(f"loss/name {loss.name!r} is unknown; known: {', '.join(sorted(OBJECTIVES))}")
    try:
        return OBJECTIVES[loss.name](dict(loss.options))
    except (TypeError, ValueError) as fault:
        raise BadInput(f"loss {loss.name} does not take the options {dict(loss.options)}: {fault}") from fault


def _dice(options: Mapping[str, Any]) -> Objective:
    """1 - Dice of the probabilities, averaged over classes (Milletari et al. 2016)."""
    from monai.losses import DiceLoss

    return OfOutputs(DiceLoss(**{**_DICE, **options}))


def _dice_ce(options: Mapping[str, Any]) -> Objective:
    """Dice loss plus cross-entropy (Isensee et al. 2021)."""
    from monai.losses import DiceCELoss

    return OfOutputs(DiceCELoss(**{**_DICE, **options}))


def _indexed_dice_ce(options: Mapping[str, Any]) -> Objective:
    """The same for many classes, without one-hot volumes."""
    return OfOutputs(partial(dice_and_cross_entropy, **options))


def _cross_entropy(options: Mapping[str, Any]) -> Objective:
    return OfOutputs(lambda logits, labels: functional.cross_entropy(logits, labels[:, 0], **options))


def _focal(options: Mapping[str, Any]) -> Objective:
    """Cross-entropy in which sure voxels count less (Lin et al. 2017)."""
    from monai.losses import FocalLoss

    return OfOutputs(FocalLoss(**{"to_onehot_y": True, "use_softmax": True, **options}))


def _dice_focal(options: Mapping[str, Any]) -> Objective:
    from monai.losses import DiceFocalLoss

    return OfOutputs(DiceFocalLoss(**{**_DICE, **options}))


# of all voxels of a batch together: a class that a patch lacks then does not count as missed
_DICE: Mapping[str, Any] = {"to_onehot_y": True, "softmax": True, "include_background": False, "batch": True}

OBJECTIVES: dict[str, Callable[[Mapping[str, Any]], Objective]] = {
    "dice": _dice,
    "dice_ce": _dice_ce,
    "cross_entropy": _cross_entropy,
    "focal": _focal,
    "dice_focal": _dice_focal,
    "indexed_dice_ce": _indexed_dice_ce,
    "deep_dice_ce": lambda options: DeeplySupervised(**options),
    "clicks": lambda options: Clicks(**options),
    "elbo": lambda options: Elbo(**options),
    "evidential": lambda options: Evidence(**options),
    REGISTRATION: lambda options: PairLoss(**options),
}
