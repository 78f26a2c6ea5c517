"""Grids whose index axes are not at right angles, and the nearest ones that are.

ITK, DICOM and the rest of this library take direction cosines to be orthonormal; a file need not.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import SimpleITK as sitk

from medseg.errors import BadInput, Notice
from medseg.geometry import Geometry, Matrix, resample

ROUNDING = 1e-6
"""Deviation from orthonormal that 32-bit numbers leave behind."""
SLIGHT = 1e-3
"""Deviation up to which the axes were meant to be at right angles."""
_WORTH_SAYING_MM = 0.01
_FLAT = 1e-3


def from_affine(size: Sequence[int], affine: Matrix) -> Geometry:
    """Return the grid of a homogeneous matrix from index to LPS mm, shape (d + 1, d + 1).

    The direction columns have length 1 but stand at the angles of the matrix.
    """
    columns = affine[:-1, :-1]
    spacing = np.linalg.norm(columns, axis=0)
    direction = tuple(float(x) for x in (columns / spacing).ravel())
    return Geometry(
        tuple(int(n) for n in size), tuple(float(s) for s in spacing), tuple(map(float, affine[:-1, -1])), direction
    )


def skew(grid: Geometry) -> float:
    """How far the direction cosines are from orthonormal: the largest entry of |C^T C - 1|."""
    return float(np.abs(grid.cosines.T @ grid.cosines - np.eye(grid.dimension)).max())


def place(image: sitk.Image, grid: Geometry) -> sitk.Image:
    """Put an image onto a grid of its size, in place, and return it."""
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    return image


def at_right_angles(images: list[sitk.Image], name: str, interpolator: int = sitk.sitkLinear) -> list[sitk.Image]:
    """Return images that share a grid on orthonormal axes.

    Cosines that are off by no more than rounding stay. Slightly skew ones are replaced by the nearest orthonormal ones
    about the centre of the volume. A sheared volume is resampled onto the nearest orthogonal grid that covers it, and
    a `Notice` says so; outside the old volume its lowest value stands.

    Raises:
        BadInput: if the axes lie in a plane.
    """
    grid = Geometry.of(images[0])
    if skew(grid) <= ROUNDING:
        return images
    grid = from_affine(grid.size, grid.affine)
    if abs(np.linalg.det(grid.cosines)) < _FLAT:
        raise BadInput(f"{name}: its index axes lie in one plane, so its voxels have no place; repair its header")
    if skew(grid) <= SLIGHT:
        return _turned(images, grid, name)
    return _resampled(images, grid, name, interpolator)


def nearest_rotation(cosines: Matrix) -> Matrix:
    """Return the orthonormal matrix nearest to `cosines` in the Frobenius norm, from the singular value decomposition.

    Source: Higham 1986, "Computing the polar decomposition - with applications".
    """
    left, _, right = np.linalg.svd(cosines)
    return np.asarray(left @ right)


def covering(grid: Geometry) -> Geometry:
    """Return the nearest orthogonal grid that holds every voxel centre of a sheared one.

    Its axes are the nearest orthonormal ones, its spacing is what the old steps measure along them.
    """
    axes = nearest_rotation(grid.cosines)
    spacing = np.diag(axes.T @ grid.affine[:-1, :-1])
    corners = _corners(grid) @ axes
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = np.ceil((high - low) / spacing - ROUNDING).astype(int) + 1
    origin = axes @ ((low + high) / 2 - spacing * (size - 1) / 2)
    return Geometry(
        tuple(int(n) for n in size),
        tuple(float(s) for s in spacing),
        tuple(float(x) for x in origin),
        tuple(float(x) for x in axes.ravel()),
    )


def _turned(images: list[sitk.Image], grid: Geometry, name: str) -> list[sitk.Image]:
    straight = replace(grid, direction=tuple(float(x) for x in nearest_rotation(grid.cosines).ravel()))
    middle = [(n - 1) / 2 for n in grid.size]
    shift = np.subtract(grid.point(middle), straight.point(middle))
    straight = replace(straight, origin=tuple(float(x) for x in np.add(straight.origin, shift)))
    moved = float(np.linalg.norm(_corners(grid) - _corners(straight), axis=1).max())
    if moved > _WORTH_SAYING_MM:
        _tell(f"{name}: its axes are not quite at right angles; made so, which moves voxels by up to {moved:.2g} mm")
    return [place(image, straight) for image in images]


def _resampled(images: list[sitk.Image], grid: Geometry, name: str, interpolator: int) -> list[sitk.Image]:
    target = covering(grid)
    size = " x ".join(str(n) for n in target.size)
    _tell(f"{name} is sheared: its axes are not at right angles; resampled onto the nearest grid that is ({size})")
    return [resample(image, target, interpolator, _lowest(image)) for image in images]


def _tell(text: str) -> None:
    warnings.warn(text, Notice, stacklevel=5)


def _lowest(image: sitk.Image) -> float:
    return float(sitk.GetArrayViewFromImage(image).min())


def _corners(grid: Geometry) -> Matrix:
    return np.array([grid.point(index) for index in itertools.product(*[(0, n - 1) for n in grid.size])])
