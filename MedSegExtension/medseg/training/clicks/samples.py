"""Samples of a reader's work: an image, a mask with a fault or none yet, the click that says so, and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import torch
from scipy import ndimage

from medseg.inference.click_channels import begun, clicked, rescaled
from medseg.segmentation import Mask
from medseg.training.clicks import heads, shapes
from medseg.training.clicks.flaws import flawed
from medseg.training.clicks.heads import Head
from medseg.training.clicks.reader import next_click
from medseg.training.clicks.shapes import Shape, World
from medseg.training.samples import Sample
from medseg.training.seeds import uniform, whole

_SMALLEST, _LARGEST = 40, 0.97  # a click in the middle of something large must be answered with all of the cube
_TRIES = 20
_ORDERS = tuple(permutations(range(3)))


class ClickSamples:
    """Worlds of random shapes and crops of heads, each with a first click. Stateless, as `Samples` must be."""

    def __init__(
        self, found: Sequence[Head], patch: Shape, images: int, shapes_share: float, flawed_share: float
    ) -> None:
        """Draw `images` images a pass: a share of random shapes, the rest of heads; a share begins with a mask."""
        self._heads, self._patch, self._images = tuple(found), patch, images
        self._shapes = shapes_share if found else 1.0
        self._flawed = flawed_share

    def __len__(self) -> int:
        """Return how many images a pass draws."""
        return self._images

    def sample(self, index: int, generator: torch.Generator) -> Sample:
        """See `medseg.training.samples.Samples`: the image has the channels of `medseg.inference.click_channels`."""
        for _ in range(_TRIES):
            made = self._made(index, generator)
            if made is not None:
                break
        else:
            raise RuntimeError("no structure was drawn in twenty tries")
        return turned(made, generator)

    def _made(self, index: int, source: torch.Generator) -> Sample | None:
        image, world = _bounded(*self._drawn(index, source), source)
        truth = _meant(world, source)
        if not _SMALLEST <= truth.sum() <= _LARGEST * truth.size:
            return None
        others = world.labels.numpy() == int(world.labels.flatten()[whole(truth.size, source)])
        begins = uniform(0, 1, source) < self._flawed
        before = flawed(truth, others, source) if begins else np.zeros_like(truth)
        click = next_click(truth, before, source=source)
        if click is None:
            return None
        channels = begun(rescaled(image), torch.from_numpy(before))
        return Sample(clicked(channels, click), torch.from_numpy(truth).long())

    def _drawn(self, index: int, source: torch.Generator) -> tuple[torch.Tensor, World]:
        if uniform(0, 1, source) < self._shapes:
            world = shapes.world(self._patch, source)
            return shapes.painted(world, source), world
        image, world = heads.drawn(self._heads[index % len(self._heads)], self._patch, source)
        if uniform(0, 1, source) >= _MASSES:
            return image, world
        middle = [n / 2 + uniform(-0.12, 0.12, source) * n for n in self._patch]
        mass = shapes.blob(self._patch, middle, source)
        number = int(world.labels.max()) + 1
        return heads.with_mass(image, mass, source), World(torch.where(mass, number, world.labels), (number,))


_MASSES, _BOUNDED = 0.3, 0.15


def _bounded(image: torch.Tensor, world: World, source: torch.Generator) -> tuple[torch.Tensor, World]:
    """Now and then let the image end within the crop, its outermost slice going on, or be of a single slice."""
    if uniform(0, 1, source) >= _BOUNDED:
        return image, world
    axis = whole(3, source)
    length = image.shape[axis]
    first = length // 2 if whole(3, source) == 0 else whole(length // 3, source)
    last = first if first == length // 2 else length - 1 - whole(length // 3, source)
    index = torch.arange(length).clamp(first, last)
    return image.index_select(axis, index), World(world.labels.index_select(axis, index), world.object)


def _meant(world: World, source: torch.Generator) -> Mask:
    """Return what the reader wants: mostly one piece that hangs together, now and then all pieces."""
    mask = np.isin(world.labels.numpy(), world.object)
    pieces, count = ndimage.label(mask)
    if count < 2 or uniform(0, 1, source) < _ALL_PIECES:
        return mask
    inner = pieces[tuple(slice(n // 3, n - n // 3) for n in mask.shape)]
    sizes = np.bincount(inner.ravel(), minlength=count + 1)[1:]
    if sizes.max() < 1:
        return mask
    return np.asarray(pieces == int(sizes.argmax()) + 1)


_ALL_PIECES = 0.1


def turned(sample: Sample, source: torch.Generator) -> Sample:
    """Swap and mirror axes, for the network must not know which way is up."""
    order = _ORDERS[whole(len(_ORDERS), source)]
    mirrored = [axis for axis in range(3) if whole(2, source)]
    image = sample.image.permute(0, *(1 + axis for axis in order)).flip([1 + axis for axis in mirrored])
    labels = sample.labels.permute(*order).flip(mirrored)
    return Sample(image.contiguous(), labels.contiguous())
