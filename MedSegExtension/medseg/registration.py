"""Registration without an engine: the protocol, warping, the checkerboard, and the measures that need no reference.

A transform maps points of the fixed image to points of the moving image (ITK's convention), LPS mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from medseg.geometry import Geometry, cut, resample
from medseg.progress import Progress


@dataclass(frozen=True, eq=False)
class Guidance:
    """What is known before a registration; all of it may be left out.

    Attributes:
        fixed_mask: voxels other than 0 are what counts in the fixed image. Coarse resolutions are blurred, so what
            lies just outside still shows there: leave a margin to what must not count.
        moving_mask: likewise; engines that cannot use it say so with a `Notice`.
        initial: where to begin, from fixed to moving points, LPS mm; part of the result.
        fixed_points: landmarks in LPS mm, (n, d), for the engines that work by them.
        moving_points: their partners, in the same order.
    """

    fixed_mask: sitk.Image | None = None
    moving_mask: sitk.Image | None = None
    initial: sitk.Transform | None = None
    fixed_points: Sequence[Sequence[float]] = ()
    moving_points: Sequence[Sequence[float]] = ()


NO_GUIDANCE = Guidance()


class Registrar(Protocol):
    """Finds where each point of the fixed image lies in the moving image."""

    def register(
        self, fixed: sitk.Image, moving: sitk.Image, progress: Progress, guidance: Guidance = NO_GUIDANCE
    ) -> sitk.Transform:
        """Return the transform from fixed to moving points, LPS mm.

        Raises:
            BadInput: if the images cannot be registered (no overlap, other dimension, nothing but background).
            Cancelled: if `progress` raised it.
            Failed: if the engine needs what is not installed, or breaks.
        """


@runtime_checkable
class InvertibleRegistrar(Registrar, Protocol):
    """A `Registrar` that knows the way back as well."""

    def register_both(
        self, fixed: sitk.Image, moving: sitk.Image, progress: Progress, guidance: Guidance = NO_GUIDANCE
    ) -> tuple[sitk.Transform, sitk.Transform]:
        """Return the transform from fixed to moving points and its inverse; raises as `register` does."""


@dataclass(frozen=True)
class Folding:
    """How a transform folds space: share of voxels whose Jacobian determinant is not positive, and log spread."""

    non_positive_percent: float
    sd_log_jacobian: float


def warp(
    moving: sitk.Image, transform: sitk.Transform, grid: Geometry, interpolator: int = sitk.sitkLinear
) -> sitk.Image:
    """Read the moving image at the transformed voxel centres of `grid` (the fixed image's); outside is 0."""
    reference = sitk.Image(list(grid.size), sitk.sitkUInt8)
    reference.SetSpacing(grid.spacing)
    reference.SetOrigin(grid.origin)
    reference.SetDirection(grid.direction)
    return sitk.Resample(moving, reference, transform, interpolator, 0.0, moving.GetPixelID())


def checkerboard(first: sitk.Image, second: sitk.Image, tile_mm: float) -> sitk.Image:
    """Alternate tiles of two images, tile edges fixed in mm of the first image's axes.

    `second` is resampled to `first`'s grid where they differ. The tile at the first voxel shows `first`.

    Raises:
        ValueError: if `tile_mm` is not above 0.
    """
    if not tile_mm > 0:
        raise ValueError(f"a tile of {tile_mm} mm cannot be drawn; give a size above 0")
    grid = Geometry.of(first)
    other = sitk.Cast(resample(second, grid), first.GetPixelID())
    steps = [np.arange(n) * s // tile_mm for n, s in zip(grid.size, grid.spacing, strict=True)]
    board = sum(np.meshgrid(*reversed(steps), indexing="ij")) % 2 == 1
    mixed = np.where(board, sitk.GetArrayViewFromImage(other), sitk.GetArrayViewFromImage(first))
    return grid.image(mixed)


def members(transform: sitk.Transform) -> list[sitk.Transform]:
    """Return what a composite is made of, the last applied first; any other transform is its own one member."""
    if transform.GetName() != "CompositeTransform":
        return [transform]
    composite = sitk.CompositeTransform(transform)
    parts = [composite.GetNthTransform(n) for n in range(composite.GetNumberOfTransforms())]
    return [member for one in parts for member in members(one)]


def linear_matrix(transform: sitk.Transform) -> npt.NDArray[np.float64]:
    """Return the homogeneous matrix of a linear transform, shape (d + 1, d + 1).

    Raises:
        ValueError: if it is not linear.
    """
    if not transform.IsLinear():
        raise ValueError("a transform that bends space has no matrix")
    dimension = transform.GetDimension()
    origin = np.array(transform.TransformPoint([0.0] * dimension))
    matrix = np.eye(dimension + 1)
    matrix[:-1, -1] = origin
    for axis, unit in enumerate(np.eye(dimension).tolist()):
        matrix[:-1, axis] = np.array(transform.TransformPoint(unit)) - origin
    return matrix


def jacobian_determinant(transform: sitk.Transform, grid: Geometry) -> sitk.Image:
    """Jacobian determinant of the mapping at each voxel of `grid`, float32: 1 keeps volume, 0 or less folds."""
    # one voxel more all round: at the edge of its field the filter halves the derivative
    wide = grid.crop([-1] * grid.dimension, [n + 2 for n in grid.size])
    field = _along_axes(displacement_field(transform, wide))
    determinant = cut(sitk.DisplacementFieldJacobianDeterminant(field), [1] * grid.dimension, grid.size)
    return grid.image(sitk.GetArrayFromImage(determinant).astype(np.float32))


def _along_axes(field: sitk.Image) -> sitk.Image:
    """Turn vectors into the directions of the grid's axes: ITK's filter differentiates along these, whatever they are.

    Without it, an axis that runs the other way is told as shrinking where it stretches.
    """
    grid = Geometry.of(field)
    turned = sitk.GetArrayFromImage(field) @ grid.cosines
    found = sitk.GetImageFromArray(np.ascontiguousarray(turned), isVector=True)
    found.SetSpacing(field.GetSpacing())
    return found


def folding(determinant: sitk.Image) -> Folding:
    """Summarise a determinant image; the logarithm is taken where it is positive."""
    values = sitk.GetArrayFromImage(determinant)
    positive = values > 0
    spread = float(np.std(np.log(values[positive]))) if positive.any() else float("nan")
    return Folding(100.0 * float(np.mean(~positive)), spread)


def landmark_errors(
    transform: sitk.Transform, fixed: Sequence[Sequence[float]], moving: Sequence[Sequence[float]]
) -> npt.NDArray[np.float64]:
    """Distances in mm between transformed fixed landmarks and their moving partners, shape (n,).

    Raises:
        ValueError: if the two lists differ in length.
    """
    mapped = [transform.TransformPoint([float(x) for x in point]) for point in fixed]
    pairs = zip(mapped, moving, strict=True)
    return np.array([np.linalg.norm(np.subtract(a, b)) for a, b in pairs], dtype=np.float64)


def overlap(fixed: Geometry, moving: Geometry, transform: sitk.Transform) -> float:
    """Share of the fixed image that a transform takes into the moving image, from a lattice of 9 points an axis."""
    ticks = [np.linspace(0, n - 1, 9) for n in fixed.size]
    lattice = np.stack(np.meshgrid(*ticks, indexing="ij"), -1).reshape(-1, fixed.dimension)
    there = [moving.index(transform.TransformPoint(fixed.point(index))) for index in lattice.tolist()]
    inside = np.all((np.array(there) >= -0.5) & (np.array(there) <= np.asarray(moving.size) - 0.5), axis=1)
    return float(np.mean(inside))


def inverse_consistency(forward: sitk.Transform, backward: sitk.Transform, grid: Geometry) -> npt.NDArray[np.float64]:
    """How far, in mm, each voxel centre of `grid` is from itself after going forward and back, shape (k, j, i)."""
    there_and_back = sitk.CompositeTransform([backward, forward])
    return np.asarray(np.linalg.norm(_displacements(there_and_back, grid), axis=-1))


def field_error(found: sitk.Transform, known: sitk.Transform, grid: Geometry) -> npt.NDArray[np.float64]:
    """Distance in mm between where two transforms take each voxel centre of `grid`, shape (k, j, i)."""
    return np.asarray(np.linalg.norm(_displacements(found, grid) - _displacements(known, grid), axis=-1))


def displacement_field(transform: sitk.Transform, grid: Geometry) -> sitk.Image:
    """Return a transform as vectors in LPS mm at the voxels of `grid`, float64."""
    return sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, grid.size, grid.origin, grid.spacing, grid.direction
    )


def _displacements(transform: sitk.Transform, grid: Geometry) -> npt.NDArray[np.float64]:
    return np.asarray(sitk.GetArrayFromImage(displacement_field(transform, grid)))
