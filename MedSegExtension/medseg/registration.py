"""Registration without an engine: the protocol, warping, the checkerboard, and the measures that need no reference.

A transform maps points of the fixed image to points of the moving image (ITK's convention), LPS mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from medseg.geometry import Geometry, cut, resample
from medseg.progress import Progress


class Registrar(Protocol):
    """Finds where each point of the fixed image lies in the moving image."""

    def register(self, fixed: sitk.Image, moving: sitk.Image, progress: Progress) -> sitk.Transform:
        """Return the transform from fixed to moving points, LPS mm.

        Raises:
            BadInput: if the images cannot be registered (no overlap, other dimension, nothing but background).
            Cancelled: if `progress` raised it.
        """


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


def jacobian_determinant(transform: sitk.Transform, grid: Geometry) -> sitk.Image:
    """Jacobian determinant of the mapping at each voxel of `grid`, float32: 1 keeps volume, 0 or less folds."""
    # one voxel more all round: at the edge of its field the filter halves the derivative
    wide = grid.crop([-1] * grid.dimension, [n + 2 for n in grid.size])
    field = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, wide.size, wide.origin, wide.spacing, wide.direction
    )
    determinant = cut(sitk.DisplacementFieldJacobianDeterminant(field), [1] * grid.dimension, grid.size)
    return sitk.Cast(determinant, sitk.sitkFloat32)


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
