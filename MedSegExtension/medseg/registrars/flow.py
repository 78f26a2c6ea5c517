"""Displacement fields on a grid: reading images through them, and the exponential of a velocity field.

Fields have shape (1, d, *spatial), in mm along the grid's own axes, channels in the order (i, j, k); spatial is in the
order (k, j, i). Grid sampling of PyTorch works on one volume with one thread, so on a CPU the places are dealt out as a
batch of slabs (`torch.get_num_threads()` of them).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch.nn import functional


@functools.lru_cache(maxsize=16)
def identity(shape: Sequence[int], device: torch.device) -> torch.Tensor:
    """Return the places of the voxels themselves for `grid_sample`, shape (1, *shape, d)."""
    ticks = [torch.linspace(-1, 1, n, device=device) if n > 1 else torch.zeros(1, device=device) for n in shape]
    return torch.stack(torch.meshgrid(*ticks, indexing="ij")[::-1], -1)[None]


def unit_scale(shape: Sequence[int], spacing: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """Return the factors from mm to the coordinates of `grid_sample`, shape (1, d, 1, ...)."""
    scale = [2 / max((n - 1) * s, 1e-6) for n, s in zip(reversed(shape), spacing, strict=True)]
    return like.new_tensor(scale).view(1, -1, *[1] * len(scale))


def places(unit_field: torch.Tensor) -> torch.Tensor:
    """Return where a field in the coordinates of `grid_sample` points to, shape (1, *spatial, d)."""
    return torch.movedim(unit_field + _identity_first(tuple(unit_field.shape[2:]), unit_field.device), 1, -1)


@functools.lru_cache(maxsize=16)
def _identity_first(shape: Sequence[int], device: torch.device) -> torch.Tensor:
    return torch.movedim(identity(shape, device), -1, 1).contiguous()


def read(image: torch.Tensor, where: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Interpolate an image (1, channels, *spatial) at places (1, *shape, d); the edge is repeated outside."""
    shape = where.shape[1:-1]
    slabs = math.gcd(shape[0], torch.get_num_threads()) if where.device.type == "cpu" else 1
    dealt = where.reshape(slabs, shape[0] // slabs, *shape[1:], where.shape[-1])
    many = image.expand(slabs, *image.shape[1:])
    read_ = functional.grid_sample(many, dealt, mode=mode, padding_mode="border", align_corners=True)
    return read_.transpose(0, 1).reshape(1, image.shape[1], *shape) if slabs > 1 else read_


def warped(image: torch.Tensor, field: torch.Tensor, spacing: Sequence[float]) -> torch.Tensor:
    """Read an image that lies on the field's grid where the field points to; `spacing` in mm (i, j, k)."""
    return read(image, places(field * unit_scale(field.shape[2:], spacing, field)))


def exponential(velocity: torch.Tensor, spacing: Sequence[float], squarings: int) -> torch.Tensor:
    """Integrate a stationary velocity field over unit time by scaling and squaring (Arsigny et al. 2006).

    The exponential of the negative field is the inverse.
    """
    scale = unit_scale(velocity.shape[2:], spacing, velocity)
    field: torch.Tensor = velocity * (scale / 2**squarings)
    for _ in range(squarings):
        field = field + read(field, places(field))
    return field / scale


def squarings_for(velocity: torch.Tensor, spacing: Sequence[float], least: int = 4, most: int = 10) -> int:
    """How many squarings make the first step shorter than a quarter of a voxel."""
    size = torch.tensor(spacing, device=velocity.device).view(1, -1, *[1] * (velocity.ndim - 2))
    longest = float((velocity.detach().abs() / size).amax())
    return min(max(math.ceil(math.log2(max(longest, 1e-6) / 0.25)), least), most)


def least_jacobian(field: torch.Tensor, spacing: Sequence[float]) -> torch.Tensor:
    """Return the least Jacobian determinant of each cell's corners, of the mapping x + field(x).

    One-sided differences along every axis are what linear interpolation between the voxels of a field gives at the
    corners of its cells, so that none being negative there means no fold in between either (Karacali and
    Davatzikos 2004).
    """
    slopes = _slopes(field, spacing)
    least: torch.Tensor | None = None
    for corner in range(2 ** len(slopes)):
        determinant = _corner(slopes, [(corner >> axis) & 1 for axis in range(len(slopes))])
        least = determinant if least is None else torch.minimum(least, determinant)
    return field.new_ones(1) if least is None else least


def determinants(field: torch.Tensor, spacing: Sequence[float]) -> torch.Tensor:
    """Return the Jacobian determinants of x + field(x) from differences to the next voxels, (1, *spatial less one)."""
    return _corner(_slopes(field, spacing), [0] * field.shape[1])


def _slopes(field: torch.Tensor, spacing: Sequence[float]) -> list[torch.Tensor]:
    """Derivatives of x + field(x) along each axis (i, j, k), (1, d, *spatial), that axis a voxel shorter."""
    slopes = []
    for axis, step in enumerate(spacing):
        slope = torch.diff(field, dim=field.ndim - 1 - axis) / step
        own = torch.zeros(field.shape[1], device=field.device)
        own[axis] = 1
        slopes.append(slope + own.view(1, -1, *[1] * (field.ndim - 2)))
    return slopes


def _corner(slopes: Sequence[torch.Tensor], corner: Sequence[int]) -> torch.Tensor:
    """Jacobian determinant at one corner of every cell; `corner` has 0 or 1 for each of the axes (i, j, k)."""
    columns = []
    for axis, slope in enumerate(slopes):
        for other in range(len(slopes)):
            if other != axis:
                dim = slope.ndim - 1 - other
                slope = slope.narrow(dim, corner[other], slope.shape[dim] - 1)  # noqa: PLW2901
        columns.append(slope)
    return _determinant(columns)


def _determinant(columns: Sequence[torch.Tensor]) -> torch.Tensor:
    """Of matrices whose columns are (1, d, *spatial)."""
    rows = [column.unbind(1) for column in columns]
    if len(rows) == 2:
        (a, b), (c, d) = rows
        return a * d - b * c
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - d * (b * i - c * h) + g * (b * f - c * e)
