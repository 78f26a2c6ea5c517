"""What a training needs to go on as if it had never stopped."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from medseg.atomic import replacing
from medseg.errors import BadInput

CHECKPOINT_FILE = "checkpoint.pt"
_FORMAT = 1
State = Mapping[str, Any]


@dataclass(frozen=True)
class Epoch:
    """What is known of an epoch.

    Attributes:
        number: from 1.
        loss: mean of its steps.
        learning_rate: of its last step.
        seconds: it took, validation included.
        dice: mean over validation cases and segments; None where it was not validated.
        dice_of: the same for each segment value, as text.
        cross_entropy: mean over validation voxels, in nats.
        similarity: of the images of a registration, mean over validation pairs.
    """

    number: int
    loss: float
    learning_rate: float
    seconds: float
    dice: float | None = None
    dice_of: Mapping[str, float | None] | None = None
    cross_entropy: float | None = None
    similarity: float | None = None

    @property
    def goodness(self) -> float | None:
        """What chooses the best epoch: the Dice, or the similarity where a registration has no labels."""
        return self.similarity if self.dice is None else self.dice


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training between two steps.

    `step` steps of the epoch under way are done; their losses sum to `loss_sum` and they took `seconds`. `at_once`
    samples go through the network together.
    """

    network: State
    optimiser: State
    scaler: State
    history: tuple[Epoch, ...]
    step: int
    loss_sum: float
    at_once: int
    seconds: float = 0.0


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        Failed: if the disk is full; the checkpoint before it is untouched.
    """
    values = {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)}
    values |= {"format": _FORMAT, "history": [asdict(epoch) for epoch in checkpoint.history]}
    # through memory: torch's own writer hides why a file could not be written
    buffer = io.BytesIO()
    torch.save(values, buffer)
    write(buffer.getbuffer(), path)


def write(content: bytes | memoryview, path: Path) -> None:
    """Write bytes, whole or not at all."""
    with replacing(path) as (draft,):
        draft.write_bytes(content)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU; no code in it is run.

    Raises:
        BadInput: if it is damaged or of another version.
    """
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as fault:
        raise BadInput(
            f"checkpoint {path} cannot be read ({_first_line(fault)}); start again without --resume"
        ) from fault
    if values.pop("format", None) != _FORMAT:
        raise BadInput(f"checkpoint {path} is of another version of medseg; start again without --resume")
    history = tuple(Epoch(**epoch) for epoch in values.pop("history"))
    return Checkpoint(**values, history=history)


def _first_line(fault: Exception) -> str:
    return (str(fault).strip() or type(fault).__name__).splitlines()[0]
