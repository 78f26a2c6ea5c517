"""Worlds of random shapes: what a click may be about, of any form and any grey value.

Smooth random regions as in SynthMorph (Hoffmann et al. 2022), with balls, ellipsoids, lobed masses, shells and tubes
among them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from medseg.training.seeds import uniform, whole
from medseg.training.synthesis import corruption, resolution
from medseg.training.synthesis.resolution import Resolution

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class World:
    """Labels (i, j, k), int64, and those of them that make up the object in the middle."""

    labels: torch.Tensor
    object: tuple[int, ...]


def world(size: Shape, source: torch.Generator) -> World:
    """Draw regions, some objects among them, and mostly one object near the middle, else what is there is meant."""
    labels = _regions(size, source)
    for _ in range(whole(5, source)):
        place = [uniform(0, n, source) for n in size]
        labels = torch.where(blob(size, place, source), int(labels.max()) + 1, labels)
    if uniform(0, 1, source) < _REGION:
        i, j, k = (n // 2 for n in size)
        return World(labels, (int(labels[i, j, k]),))
    middle = [n / 2 + uniform(-0.12, 0.12, source) * n for n in size]
    form = tube(size, middle, source) if uniform(0, 1, source) < _TUBES else blob(size, middle, source)
    outer = int(labels.max()) + 1
    labels = torch.where(form, outer, labels)
    if uniform(0, 1, source) >= _CORED:
        return World(labels, (outer,))
    core = blob(size, middle, source, uniform(0.4, 0.8, source)) & form
    labels = torch.where(core, outer + 1, labels)
    return World(labels, (outer,) if uniform(0, 1, source) < _SHELL_ALONE else (outer, outer + 1))


_REGION, _TUBES, _CORED, _SHELL_ALONE = 0.2, 0.2, 0.3, 0.25


def _regions(size: Shape, source: torch.Generator) -> torch.Tensor:
    count = 1 + whole(7, source)
    points = 2 + whole(9, source)
    labels, highest = torch.zeros(size, dtype=torch.int64), noise(size, points, source)
    for number in range(1, count):
        other = noise(size, points, source)
        labels.masked_fill_(other > highest, number)
        highest = torch.maximum(highest, other)
    return labels


def noise(size: Shape, points: int, source: torch.Generator) -> torch.Tensor:
    """Draw a smooth field of unit deviation at `points` control points an axis."""
    drawn = torch.randn(1, 1, points, points, points, generator=source)
    return functional.interpolate(drawn, size, mode="trilinear", align_corners=True)[0, 0]


def blob(size: Shape, place: list[float], source: torch.Generator, share: float = 1.0) -> torch.Tensor:
    """Draw an ellipsoid about a place, with a smooth or a lobed surface, 4 voxels to a whole side in radius: bool."""
    radius = share * math.exp(uniform(math.log(4), math.log(min(size)), source))
    axes = _turned(size, place, source)
    radii = [radius * uniform(0.6, 1.3, source) for _ in range(3)]
    away = torch.stack([(a / r) ** 2 for a, r in zip(axes, radii, strict=True)]).sum(0).sqrt()
    lobed = uniform(0, 0.45, source) * noise(size, max(3, min(24, round(min(size) / radius))), source)
    return away + lobed < 1


def tube(size: Shape, place: list[float], source: torch.Generator) -> torch.Tensor:
    """Draw a winding tube through a place, 1.5 to 7 voxels in radius: bool."""
    along, first, second = _turned(size, place, source)
    length = uniform(0.4, 1.5, source) * size[0] / 2
    waves = [(uniform(0, 8, source), uniform(8, 30, source), uniform(0, 6, source)) for _ in range(2)]
    offsets = [high * (torch.sin(along / wide + start) - math.sin(start)) for high, wide, start in waves]
    radius = uniform(1.5, 7, source) * (1 + uniform(0, 0.3, source) * torch.sin(along / uniform(4, 20, source)))
    inside: torch.Tensor = ((first - offsets[0]) ** 2 + (second - offsets[1]) ** 2 < radius**2) & (along.abs() < length)
    return inside


def _turned(size: Shape, place: list[float], source: torch.Generator) -> torch.Tensor:
    """Coordinates (3, i, j, k) about a place along three orthogonal axes that are drawn."""
    axes = torch.linalg.qr(torch.randn(3, 3, generator=source))[0]
    grid = torch.stack(torch.meshgrid(*[torch.arange(n) - p for n, p in zip(size, place, strict=True)], indexing="ij"))
    return torch.einsum("ab,bijk->aijk", axes, grid)


def painted(drawn: World, source: torch.Generator) -> torch.Tensor:
    """Draw an image of a world, (i, j, k) in [0, 1]: grey values, grain, texture, thick slices, uneven coils."""
    labels, size = drawn.labels, drawn.labels.shape
    count = int(labels.max()) + 1
    means, deviations = torch.rand(count, generator=source), 0.1 * torch.rand(count, generator=source)
    if uniform(0, 1, source) < _FAINT:  # near the grey value of what is around it
        shift = uniform(0.08, 0.3, source) * (1 if uniform(0, 1, source) < 0.5 else -1)
        means[list(drawn.object)] = means[_common(labels)] + shift
    voxels = means[labels] + deviations[labels] * torch.randn(size, generator=source)
    grain = noise((size[0], size[1], size[2]), 4 + whole(20, source), source)
    voxels = voxels + uniform(0, 0.08, source) * grain
    voxels = voxels * corruption.bias(size, 0.3, source)
    voxel_mm = resolution.spacings(Resolution(0.35, 6.0, 2.0), 1.0, source)
    voxels = resolution.imaged(voxels, 1.0, voxel_mm, uniform(0, 0.08, source), source)
    return corruption.gamma(corruption.rescaled(voxels), 0.3, source)


_FAINT = 0.5


def _common(labels: torch.Tensor) -> int:
    return int(torch.bincount(labels.flatten()).argmax())
