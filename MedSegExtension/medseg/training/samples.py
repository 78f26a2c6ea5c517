"""What a training is fed with: the seam where data sources plug in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch


class Sample(NamedTuple):
    """One image and its labels.

    Attributes:
        image: float32, shape (channels, i, j, k), prepared as the network wants it; (channels, i, j) in 2D.
        labels: int64, shape (i, j, k): class indices, 0 for background.
    """

    image: torch.Tensor
    labels: torch.Tensor


class Samples(Protocol):
    """A set of samples, each drawn anew whenever it is asked for.

    It must be picklable (workers get a copy) and keep no state: the same index and a generator in the same state give
    the same sample, bit for bit, or a resumed training would differ.
    """

    def __len__(self) -> int:
        """How many cases there are; one pass over them is an epoch, unless the configuration says otherwise."""

    def sample(self, index: int, generator: torch.Generator) -> Sample:
        """Draw a sample of a case; all randomness comes from `generator` (on the CPU)."""


@dataclass(frozen=True)
class Case:
    """Files of one case: an image a channel, the label map, and who it was taken of."""

    name: str
    patient: str
    images: tuple[Path, ...]
    labels: Path
    part: str = ""


@dataclass(frozen=True, eq=False)
class Data:
    """The three parts of the data of one training.

    Attributes:
        training: its samples share one shape within a batch.
        validation: chooses the best epoch; shapes may differ, each is predicted whole (window by window).
        test: never trained nor tuned on; may be empty.
        held_out: the files behind `test`, where there are any; they are then scored on their own grids.
        about: JSON values for the record and the card (patients of each part, seeds, sources).
        whole_images: whether a training sample is an image as a user has it, not a patch or a crop around a click.
    """

    training: Samples
    validation: Samples
    test: Samples
    held_out: Sequence[Case] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    whole_images: bool = False


class Nothing:
    """No samples, for a test part that nobody asked for."""

    def __len__(self) -> int:
        """Return 0."""
        return 0

    def sample(self, index: int, generator: torch.Generator) -> Sample:  # noqa: ARG002
        """Refuse."""
        raise IndexError(index)
