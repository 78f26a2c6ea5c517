"""Instance optimisation of a stationary velocity field, from coarse to fine.

The velocity lives on a grid of its own, coarser than the images. It is integrated on a grid between the two, because
scaling and squaring is the dear part, and its displacement is brought to the image's grid; both by cubic interpolation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from medseg.geometry import Geometry
from medseg.progress import Progress, part
from medseg.registrars import banded, flow, losses
from medseg.registrars.matrices import Matrix
from medseg.registrars.volumes import Volume, level_grid

Spacing = tuple[float, ...]
_INTEGRATION_MM = 4.0
_WIDTHS = (1.0, 4.0)  # of the blur of an update; the wide one moves what the image shows nothing of along with the rest
_WIDEST_MM = 40.0


@dataclass(frozen=True)
class Level:
    """One resolution.

    Attributes:
        spacing: of the images, mm.
        control: of the velocity, mm.
        steps: of the optimiser.
        rate: length of a step, mm.
        blur: standard deviation of the narrower Gaussian over each update, mm.
    """

    spacing: float
    control: float
    steps: int
    rate: float
    blur: float


@dataclass(frozen=True)
class Plan:
    """What is done at which resolution, and what a good velocity is.

    Attributes:
        levels: from coarse to fine.
        measure: a name of `losses.LOSSES`.
        stiffness: weight of the velocity's squared first derivatives (`roughness`).
        bending: weight of its squared second derivatives, in squared control spacings (`bending`).
        symmetric: compare the images both ways.
    """

    levels: tuple[Level, ...]
    measure: str = "lncc"
    stiffness: float = 0.0
    bending: float = 0.0
    symmetric: bool = False


@dataclass(frozen=True, eq=False)
class Velocity:
    """A velocity, shape (1, d, *spatial), in mm along the axes of `grid`, channels (i, j, k)."""

    values: torch.Tensor
    grid: Geometry

    @property
    def spacing(self) -> Spacing:
        """Mm between velocities, (i, j, k)."""
        return self.grid.spacing


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be laid on what.

    Attributes:
        fixed, moving: scaled to [0, 1].
        weight: where the fixed image counts (above 0.5), or None.
        affine: from fixed to moving points, LPS mm; comes after the deformation.
        box: the part of the fixed image's surroundings to look at.
        moving_weight: where the moving image counts (above 0.5), or None.
    """

    fixed: Volume
    moving: Volume
    weight: Volume | None
    affine: Matrix
    box: Geometry
    moving_weight: Volume | None = None


def optimise(problem: Problem, plan: Plan, progress: Progress) -> Velocity:
    """Return the velocity field whose exponential, followed by the affine, lays the moving image on the fixed one.

    Raises:
        Cancelled: if `progress` raised it, which is told after each step.
    """
    velocity: Velocity | None = None
    costs = [level.steps * level.spacing**-2 for level in plan.levels]
    for number, level in enumerate(plan.levels):
        images = _images(problem, level, velocity)
        begin, end = (sum(costs[: number + n]) / sum(costs) for n in (0, 1))
        velocity = _refine(images, plan, level, _started(velocity, images, level), part(progress, begin, end))
    if velocity is None:
        raise ValueError("a plan without levels registers nothing")
    return velocity


@dataclass(frozen=True, eq=False)
class _Images:
    """Both images and the weight of one level, on one grid."""

    fixed: torch.Tensor
    moving: torch.Tensor
    weight: torch.Tensor
    grid: Geometry


def _images(problem: Problem, level: Level, velocity: Velocity | None) -> _Images:
    grid = level_grid(problem.box, level.spacing)
    place = level_grid(problem.moving.grid, level.spacing)
    there = problem.moving.coarse_within(place, problem.moving_weight)
    inside = Volume(torch.ones_like(there.voxels), there.grid).onto(grid, problem.affine, "zeros")
    if problem.weight is not None:
        inside = inside * (problem.weight.coarse(grid).voxels > 0.5)
    if problem.moving_weight is not None:
        inside = inside * _counted(problem.moving_weight.coarse(place).onto(grid, problem.affine), grid, velocity)
    moving = there.onto(grid, problem.affine)
    fixed = problem.fixed.coarse_within(grid, problem.weight).voxels
    return _Images(fixed, moving, (inside > 0.5).float(), grid)


def _counted(weight: torch.Tensor, grid: Geometry, velocity: Velocity | None) -> torch.Tensor:
    """Where the moving image counts, as far as the deformation is known from coarser levels."""
    if velocity is not None:
        dense = _dense(grid, velocity.spacing[0])
        weight = _through(weight, _moved(velocity, dense), grid, dense)
    return weight > 0.5


def _control(grid: Geometry, spacing: float) -> Geometry:
    """Return a grid of about `spacing` mm between the same first and last voxel centres."""
    size = [max(4, round((n - 1) * s / max(spacing, s)) + 1) for n, s in zip(grid.size, grid.spacing, strict=True)]
    steps = [(n - 1) * s / (m - 1) for n, s, m in zip(grid.size, grid.spacing, size, strict=True)]
    return Geometry(tuple(size), tuple(steps), grid.origin, grid.direction)


def _dense(grid: Geometry, control: float) -> Geometry:
    """Where velocities `control` mm apart are integrated for images on `grid`."""
    return _control(grid, min(control, _INTEGRATION_MM))


def _started(before: Velocity | None, images: _Images, level: Level) -> Velocity:
    grid = _control(images.grid, level.control)
    if before is None:
        shape = (1, grid.dimension, *grid.shape)
        return Velocity(torch.zeros(shape, device=images.fixed.device), grid)
    return Velocity(_moved(before, grid), grid)


def _moved(before: Velocity, grid: Geometry) -> torch.Tensor:
    """Read a velocity at another grid of the same directions."""
    return Volume(before.values, before.grid).coarse(grid).voxels


def displacement(velocity: Velocity, sign: float = 1.0) -> torch.Tensor:
    """Return the exponential of a velocity (or of its negative) on its own grid, in mm."""
    return flow.exponential(
        sign * velocity.values, velocity.spacing, flow.squarings_for(velocity.values, velocity.spacing)
    )


def _refine(images: _Images, plan: Plan, level: Level, start: Velocity, progress: Progress) -> Velocity:
    values = start.values.clone().requires_grad_(True)
    objective = _objective(images, plan, start.grid)
    updates = [_Update(start.grid, level, min(width * level.blur, _WIDEST_MM)) for width in _WIDTHS]
    for step in range(level.steps):
        (gradient,) = torch.autograd.grad(objective(values), values)
        with torch.no_grad():
            values -= sum(update(gradient, 1 - step / level.steps) for update in updates)
        progress((step + 1) / level.steps, f"deformable registration at {level.spacing:g} mm")
    return Velocity(values.detach(), start.grid)


class _Update:
    """Adam (Kingma and Ba 2015) whose step is blurred, so that every update is a smooth velocity."""

    def __init__(self, grid: Geometry, level: Level, blur: float) -> None:
        self._blur = [blur / s for s in grid.spacing]
        self._rate, self._count = level.rate, 0
        self._mean: torch.Tensor | float = 0.0
        self._square: torch.Tensor | float = 0.0

    def __call__(self, gradient: torch.Tensor, share: float) -> torch.Tensor:
        self._count += 1
        gradient = banded.smooth(gradient, self._blur)
        self._mean = 0.9 * self._mean + 0.1 * gradient
        self._square = 0.98 * self._square + 0.02 * gradient**2
        mean = self._mean / (1 - 0.9**self._count)
        root = (self._square / (1 - 0.98**self._count)).sqrt()
        # where nothing is to be seen, gradients are small: they must not be blown up to steps of full length
        step = mean / (root + 0.1 * root.mean() + 1e-20)
        return self._rate * (0.3 + 0.7 * share) * banded.smooth(step, self._blur)


def _objective(images: _Images, plan: Plan, control: Geometry) -> Callable[[torch.Tensor], torch.Tensor]:
    measure = losses.LOSSES[plan.measure](images.fixed, images.weight)
    back = losses.LOSSES[plan.measure](images.moving, images.weight) if plan.symmetric else None
    dense = _dense(images.grid, control.spacing[0])

    def objective(values: torch.Tensor) -> torch.Tensor:
        velocity = banded.resize(values, dense.shape)
        total = measure(_through(images.moving, velocity, images.grid, dense))
        if back is not None:
            total = total + back(_through(images.fixed, -velocity, images.grid, dense))
        if plan.stiffness:
            total = total + plan.stiffness * roughness(values, control.spacing)
        return total + plan.bending * bending(values, control.spacing) if plan.bending else total

    return objective


def _through(image: torch.Tensor, values: torch.Tensor, grid: Geometry, dense: Geometry) -> torch.Tensor:
    """Read an image on `grid` through the exponential of velocities on `dense`, which has the same corners."""
    squarings = flow.squarings_for(values, dense.spacing)
    field = flow.exponential(values, dense.spacing, squarings)
    # mm to unit coordinates while the field is small: both grids have the same corners
    unit = field * flow.unit_scale(field.shape[2:], dense.spacing, field)
    return flow.read(image, flow.places(banded.resize(unit, grid.shape)))


def bending(values: torch.Tensor, spacing: Sequence[float]) -> torch.Tensor:
    """Mean square of the velocity's second derivatives (Rueckert et al. 1999) times the squared spacing, 1/mm^2 * mm^2.

    An affine velocity costs nothing, so where an image shows nothing the field goes on as it does beside it, instead of
    being drawn to zero as by `roughness`. With the spacing as the unit, finer levels may bend more sharply.
    """
    parts = []
    for axis, step in enumerate(spacing):
        slope = torch.diff(values, dim=values.ndim - 1 - axis) / step
        for other in range(axis + 1):
            twice = torch.diff(slope, dim=values.ndim - 1 - other) / spacing[other]
            parts.append(twice.square().mean() * (1 if other == axis else 2))
    return torch.stack(parts).sum() * (sum(spacing) / len(spacing)) ** 2


def roughness(values: torch.Tensor, spacing: Sequence[float]) -> torch.Tensor:
    """Mean square of the velocity's first derivatives, 1/mm^2 times mm^2."""
    parts = [
        (torch.diff(values, dim=values.ndim - 1 - axis) / spacing[axis]).square().mean() for axis in range(len(spacing))
    ]
    return torch.stack(parts).sum()
