"""Pairs as samples: two channels, fixed and moving, and the labels of both where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from medseg.training.augment import Box, Volume, view
from medseg.training.config import Augmentation
from medseg.training.samples import Sample, Samples
from medseg.training.seeds import whole


@dataclass(frozen=True)
class PreparedImage:
    """An image on the network's grid: float32 (i, j, k) in [0, 1], labels on the same grid or None, spacing in mm."""

    name: str
    image: Path
    labels: Path | None
    spacing: tuple[float, ...]

    def volume(self) -> Volume:
        """Open it; voxels are read when they are needed."""
        image = np.load(self.image, mmap_mode="r")
        labels = np.load(self.labels, mmap_mode="r") if self.labels else np.zeros(image.shape, np.uint8)
        return Volume(image[None], labels, self.spacing)


@dataclass(frozen=True)
class RandomPairs:
    """Pairs of two different images, each augmented on its own. Stateless, as `Samples` must be."""

    images: Sequence[PreparedImage]
    augmentation: Augmentation
    count: int

    def __len__(self) -> int:
        """Return how many pairs a pass draws."""
        return self.count

    def sample(self, index: int, generator: torch.Generator) -> Sample:
        """See `medseg.training.samples.Samples`: every image is the fixed one in turn."""
        fixed = index % len(self.images)
        moving = (fixed + 1 + whole(len(self.images) - 1, generator)) % len(self.images)
        first, second = (self._view(self.images[number], generator) for number in (fixed, moving))
        return joined(first, second, self.images[fixed].labels is not None)

    def _view(self, image: PreparedImage, generator: torch.Generator) -> Sample:
        volume = image.volume()
        return view(volume, Box((0, 0, 0), volume.labels.shape), self.augmentation, generator)


@dataclass(frozen=True)
class FixedPairs:
    """Pairs that are always the same, to be judged by."""

    pairs: Sequence[tuple[PreparedImage, PreparedImage]]

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.pairs)

    def sample(self, index: int, generator: torch.Generator) -> Sample:  # noqa: ARG002  (nothing is random here)
        """See `medseg.training.samples.Samples`."""
        fixed, moving = self.pairs[index]
        return joined(_plain(fixed.volume()), _plain(moving.volume()), fixed.labels is not None)


@dataclass(frozen=True)
class DrawnPairs:
    """Pairs of images that are drawn from label maps; also of one label map, bent in two ways."""

    images: Samples

    def __len__(self) -> int:
        """Return how many pairs a pass draws."""
        return len(self.images)

    def sample(self, index: int, generator: torch.Generator) -> Sample:
        """See `medseg.training.samples.Samples`."""
        other = whole(len(self.images), generator)
        return joined(self.images.sample(index, generator), self.images.sample(other, generator), True)


def joined(fixed: Sample, moving: Sample, labelled: bool) -> Sample:
    """Return a pair as one sample; without labels, those of the sample are empty."""
    labels = torch.stack([fixed.labels, moving.labels]) if labelled else torch.zeros((2, 0, 0, 0), dtype=torch.int64)
    return Sample(torch.cat([fixed.image, moving.image]), labels)


def _plain(volume: Volume) -> Sample:
    image, labels = np.array(volume.image, np.float32), np.array(volume.labels, np.int64)
    return Sample(torch.from_numpy(image), torch.from_numpy(labels))
