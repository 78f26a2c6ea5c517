"""Crops of heads drawn from label maps, and a structure of them that a click may be about."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from medseg.errors import BadInput
from medseg.training.clicks.shapes import Shape, World
from medseg.training.seeds import uniform, whole
from medseg.training.synthesis import corruption, generator
from medseg.training.synthesis.generator import Recipe
from medseg.training.synthesis.label_map import LabelMap
from medseg.training.synthesis.prepare import upright
from medseg.training.synthesis.resolution import Resolution
from medseg.training.synthesis.space import Deformation

_MARGIN = 20
_FINEST, _COARSEST = 0.35, 2.2  # mm a voxel: small structures fill a cube as well as large ones


@dataclass(frozen=True, eq=False)
class Head:
    """A label map whose structures are looked for by number, not by side or lobe, and a voxel of each of them."""

    labels: LabelMap
    places: tuple[np.ndarray, ...]


def read(path: Path) -> Head:
    """Read a label map of FreeSurfer numbers.

    Raises:
        BadInput: if it cannot be read, or is empty.
    """
    numbers = np.asarray(sitk.GetArrayFromImage(upright(path)).T)
    inside = np.argwhere(numbers[::4, ::4, ::4] > 0) * 4
    if not len(inside):
        raise BadInput(f"{path} labels nothing; FreeSurfer numbers are wanted")
    low, high = np.maximum(inside.min(0) - _MARGIN, 0), np.minimum(inside.max(0) + _MARGIN, numbers.shape)
    return of_array(numbers[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])


def of_array(numbers: np.ndarray) -> Head:
    """Build a head from FreeSurfer numbers (i, j, k), voxels of 1 mm."""
    counts = np.bincount(numbers.ravel())
    kinds = np.flatnonzero(counts)
    table = np.zeros(len(counts), np.uint8)
    table[kinds] = np.arange(len(kinds))
    classes = table[numbers]
    places = [np.argwhere(classes[::3, ::3, ::3] == number) * 3 for number in range(1, len(kinds))]
    voxels = torch.from_numpy(np.ascontiguousarray(classes))
    middle = (numbers.shape[0] / 2, numbers.shape[1] / 2, numbers.shape[2] / 2)
    return Head(LabelMap(voxels, voxels, tuple(map(int, kinds)), middle), tuple(p for p in places if len(p)))


def drawn(head: Head, size: Shape, source: torch.Generator) -> tuple[torch.Tensor, World]:
    """Draw an image (i, j, k) in [0, 1] about a voxel of one of the structures, and its labels."""
    places = head.places[whole(len(head.places), source)]
    i, j, k = (float(n) for n in places[whole(len(places), source)])
    recipe = Recipe(
        sizes=(size,),
        spacing=math.exp(uniform(math.log(_FINEST), math.log(_COARSEST), source)),
        deformation=Deformation(rotation_degrees=30, shift_mm=6, elastic_mm=4, mirror=0),
        resolution=Resolution(thick=0.3),
        stripped=0,
        short=0.1,
        lesion=0,
    )
    sample = generator.draw(replace(head.labels, centre=(i, j, k)), recipe, source)
    labels = sample.labels
    there = labels[tuple(slice(n // 2 - 2, n // 2 + 3) for n in size)].flatten()
    kinds = sorted({*there[there > 0].tolist()}) or [int(labels[labels > 0].mode().values) if (labels > 0).any() else 0]
    chosen = {int(kinds[whole(len(kinds), source)])}
    if uniform(0, 1, source) < _MERGED:
        present = torch.bincount(labels.flatten()).nonzero().flatten().tolist()
        chosen |= {int(present[whole(len(present), source)]) for _ in range(1 + whole(3, source))} - {0}
    return sample.image[0], World(labels, tuple(sorted(chosen)))


_MERGED = 0.3


def with_mass(image: torch.Tensor, mass: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Blend a mass (bool, i, j, k) into an image: solid, with a brighter or darker rim, or with a dark middle."""
    soft = corruption.bias(image.shape, 0.3, source) * uniform(0, 1, source)
    edge = torch.nn.functional.avg_pool3d(mass[None, None].float(), 3, 1, 1)[0, 0]
    inner = torch.nn.functional.avg_pool3d(edge[None, None], 7, 1, 3)[0, 0] > uniform(0.7, 1.1, source)
    grey = torch.where(inner, soft * uniform(0.3, 1.2, source), soft)
    grain = uniform(0, 0.06, source) * torch.randn(image.shape, generator=source)
    return (image + edge * (grey + grain - image)).clamp(0, 1)
