"""From a velocity field to a transform of SimpleITK, free of folds and still at its edge."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
import torch
from torch.nn import functional

from medseg.errors import Failed
from medseg.geometry import Geometry
from medseg.registrars import banded, flow
from medseg.registrars.matrices import Matrix, transform_of
from medseg.registrars.velocity_field import Velocity, displacement

_LEAST_JACOBIAN = 0.02
_ROUNDS = 8
_EVERYWHERE = 4  # of the rounds are left to blurring all of it
_AROUND = 3  # velocities: what folds here was bent on the way here
_STILL_MM = 0.05
_REACH = 2.5


def still_at_edge(velocity: Velocity) -> Velocity:
    """Continue a velocity beyond its grid and let it fade to zero there.

    A displacement field of ITK does nothing outside its grid, so what moves at the edge would tear there.
    """
    speed = _edge_speed(velocity.values)
    voxel = min(velocity.spacing)
    width = 2 if speed < _STILL_MM else max(2, math.ceil(_REACH * speed / voxel) + 1)
    axes = velocity.grid.dimension
    wide = functional.pad(velocity.values, [width] * (2 * axes), mode="replicate")
    for dim in range(2, wide.ndim):
        fade = _fade(wide.shape[dim], width).to(wide)
        wide = wide * fade.view(-1, *[1] * (wide.ndim - 1 - dim))
    return Velocity(wide, velocity.grid.crop([-width] * axes, [n + 2 * width for n in velocity.grid.size]))


def unfolded(velocity: Velocity, spacing: float) -> tuple[torch.Tensor, torch.Tensor, Geometry]:
    """Return the displacements there and back at about `spacing` mm and their grid, free of folds.

    The velocity is blurred around what folds, and everywhere where that does not help.

    Raises:
        Failed: if blurring does not help either.
    """
    for left in reversed(range(_ROUNDS)):
        there, grid = _finer(velocity, spacing)
        back, _ = _finer(velocity, spacing, -1.0)
        folds = [flow.least_jacobian(field, grid.spacing) <= _LEAST_JACOBIAN for field in (there, back)]
        if not any(bool(one.any()) for one in folds):
            return there, back, grid
        smooth = banded.smooth(velocity.values, [1.0] * grid.dimension)
        if left >= _EVERYWHERE:
            smooth = torch.lerp(velocity.values, smooth, _about(folds, velocity.grid))
        velocity = Velocity(smooth, velocity.grid)
    raise Failed("the deformation folds and blurring did not undo it; choose a smoother preset")


def _about(folds: Sequence[torch.Tensor], grid: Geometry) -> torch.Tensor:
    """Weights on a velocity's grid, 1 around folded cells of a finer grid and fading to 0, (1, 1, *spatial)."""
    pool = {2: functional.adaptive_max_pool2d, 3: functional.adaptive_max_pool3d}[grid.dimension]
    hit = torch.stack([one.float() for one in folds]).amax(0).reshape(1, 1, *folds[0].shape[1:])
    near = banded.box_mean(pool(hit, grid.shape), 2 * _AROUND + 1)
    return banded.box_mean((near > 0).float(), 2 * _AROUND + 1)


def _finer(velocity: Velocity, spacing: float, sign: float = 1.0) -> tuple[torch.Tensor, Geometry]:
    """Integrate on the grid that is wanted: on the velocity's own, both ways were twice as far from inverse."""
    coarse = velocity.grid
    size = [max(n, round((n - 1) * s / spacing) + 1) for n, s in zip(coarse.size, coarse.spacing, strict=True)]
    steps = [(n - 1) * s / (m - 1) for n, s, m in zip(coarse.size, coarse.spacing, size, strict=True)]
    grid = Geometry(tuple(size), tuple(steps), coarse.origin, coarse.direction)
    return displacement(Velocity(banded.resize(velocity.values, grid.shape), grid), sign), grid


def field_transform(field: torch.Tensor, grid: Geometry) -> sitk.DisplacementFieldTransform:
    """Return a displacement in mm along the grid's axes, (1, d, *spatial), as a transform in LPS mm."""
    along_axes = torch.movedim(field[0], 0, -1).double().cpu().numpy()
    vectors = np.ascontiguousarray(along_axes @ grid.cosines.T)
    return sitk.DisplacementFieldTransform(sitk.Cast(grid.image(vectors), sitk.sitkVectorFloat64))


def forward(field: torch.Tensor, grid: Geometry, affine: Matrix) -> sitk.CompositeTransform:
    """Return the deformation followed by the affine (a composite applies its last member first)."""
    return sitk.CompositeTransform([transform_of(affine), field_transform(field, grid)])


def backward(field: torch.Tensor, grid: Geometry, affine: Matrix) -> sitk.CompositeTransform:
    """Return the inverse affine followed by the inverse deformation: from moving to fixed points."""
    return sitk.CompositeTransform(
        [field_transform(field, grid), transform_of(np.asarray(np.linalg.inv(affine), np.float64))]
    )


def _edge_speed(values: torch.Tensor) -> float:
    ends = [values.select(dim, n) for dim in range(2, values.ndim) for n in (0, values.shape[dim] - 1)]
    return max(float(end.abs().amax()) for end in ends)


def _fade(length: int, width: int) -> torch.Tensor:
    ramp = torch.arange(length, dtype=torch.float32)
    inside = torch.minimum(ramp, length - 1 - ramp) / width
    return 0.5 - 0.5 * torch.cos(math.pi * inside.clamp(0, 1))
