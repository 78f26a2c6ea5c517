"""The other side as a proposal: a mask mirrored about the mid-plane of a head, or the mid-line of a radiograph."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage, optimize

from medseg.correction.patch import Patch
from medseg.errors import BadInput, Notice
from medseg.geometry import Geometry, Matrix, resample
from medseg.segmentation import Mask, Segment, Segmentation

_COARSE = 48
_POINTS = 4000
_IMAGE_POINTS = 15000
_TURN = math.radians(5)
_SHIFT_MM = 5.0
_STARTS = (-3.0, -1.5, 0.0, 1.5, 3.0)
_LOST = 0.02
_ALIKE = 0.5
_SEEN = 0.5
_IN_PICTURE = 0.5


@dataclass(frozen=True, eq=False)
class Mirror:
    """A plane (in 2D a line): a point of it in LPS mm, and its normal of length 1, shape (d,) each."""

    point: Matrix
    normal: Matrix

    def reflected(self, points: Matrix) -> Matrix:
        """Return where points in LPS mm, shape (n, d), are seen in the mirror."""
        return np.asarray(points - 2 * np.outer((points - self.point) @ self.normal, self.normal))

    @property
    def transform(self) -> sitk.AffineTransform:
        """The reflection as a transform of LPS points; it is its own inverse."""
        dimension = len(self.normal)
        matrix = np.eye(dimension) - 2 * np.outer(self.normal, self.normal)
        transform = sitk.AffineTransform(dimension)
        transform.SetMatrix(matrix.ravel())
        transform.SetTranslation(2 * float(self.point @ self.normal) * self.normal)
        return transform


def from_image(image: sitk.Image) -> Mirror:
    """Fit the mirror about which an image is most like its own reflection.

    Correlation is maximised (Powell's method) on a coarse copy, from the plane between left and right through the
    centre of what is brighter than the mean; the true one must not be turned by much more than 20 degrees from there.

    Raises:
        BadInput: if the image is all of one value, or unlike its reflection in every mirror (a correlation below 0.5).
    """
    coarse = _coarse(image)
    voxels = sitk.GetArrayFromImage(coarse).astype(np.float64)
    if np.ptp(voxels) == 0:
        raise BadInput("the image is all of one value, so that it has no sides; choose the pair of masks instead")
    grid = Geometry.of(coarse)
    weight = np.argwhere(voxels > voxels.mean())[:, ::-1].mean(axis=0)
    flat = _flat(grid)
    first = Mirror(np.array(grid.point(weight)), _sideways(flat))
    chosen = np.random.default_rng(0).random(grid.shape) < _IMAGE_POINTS / voxels.size
    points, values = _centres(grid, chosen), voxels[chosen]
    bright = values > values.mean()

    def unlike(mirror: Mirror) -> float:
        seen = _sampled(voxels, grid, mirror.reflected(points))
        inside = np.isfinite(seen)
        if inside[bright].mean() < _SEEN or np.ptp(seen[inside]) == 0:
            return 1.0
        return 1.0 - float(np.corrcoef(values[inside], seen[inside])[0, 1])

    found = _best(first, flat, unlike)
    if unlike(found) > 1.0 - _ALIKE:
        raise BadInput("the image is not like its own mirror image, so that no middle can be fitted; use the two masks")
    return found


def from_pair(segmentation: Segmentation, one: Segment, other: Segment) -> Mirror:
    """Fit the mirror in which one mask is seen where the other lies: the mean distance between them is minimised.

    It begins at the plane half way between their centres.

    Raises:
        BadInput: if one of them is empty, or their centres are the same.
    """
    grid = segmentation.geometry
    masks = [_needed(segmentation, segment) for segment in (one, other)]
    clouds = [_some(_centres(grid, mask)) for mask in masks]
    centres = [_centres(grid, mask).mean(axis=0) for mask in masks]
    apart = centres[1] - centres[0]
    if np.linalg.norm(apart) < min(grid.spacing):
        raise BadInput(f"{one.name!r} and {other.name!r} lie in the same place; choose a left and a right structure")
    maps = [_distance(mask, grid) for mask in masks]

    def apart_mm(mirror: Mirror) -> float:
        pairs = zip(clouds, reversed(maps), strict=True)
        seen = [_sampled(far, grid, mirror.reflected(cloud), outside=float(far.max())) for cloud, far in pairs]
        return float(np.mean([part.mean() for part in seen]))

    return _best(Mirror((centres[0] + centres[1]) / 2, apart / np.linalg.norm(apart)), _flat(grid), apart_mm)


def mirrored(segmentation: Segmentation, segment: Segment, mirror: Mirror) -> Mask:
    """Return a segment as seen in the mirror, on the same grid, shape (k, j, i).

    A `Notice` says if part of it falls outside the image.

    Raises:
        BadInput: if the segment is empty.
    """
    mask = _needed(segmentation, segment)
    image = segmentation.geometry.image(mask.astype(np.float32))
    seen = sitk.Resample(image, image, mirror.transform, sitk.sitkLinear, 0.0)
    result = np.asarray(sitk.GetArrayViewFromImage(seen) >= 0.5)
    if np.count_nonzero(result) < (1 - _LOST) * np.count_nonzero(mask):
        text = f"part of {segment.name!r} falls outside the image when mirrored, and is missing from the proposal"
        warnings.warn(text, Notice, stacklevel=2)
    return result


def proposal(segmentation: Segmentation, source: Segment, target: Segment, mirror: Mirror) -> Patch | None:
    """Return the patch that puts the mirrored `source` in the place of `target`; None if that changes nothing.

    No voxel of another segment in the layer of the target is overwritten. Neither mask is touched: it is for the
    reader to accept.

    Raises:
        BadInput: if the source is empty, or is the target.
    """
    if (source.layer, source.value) == (target.layer, target.value):
        raise BadInput(f"{source.name!r} cannot be mirrored onto itself; choose the structure of the other side")
    seen = mirrored(segmentation, source, mirror)
    voxels = sitk.GetArrayFromImage(segmentation.labels)
    layer = voxels[..., target.layer] if segmentation.layers > 1 else voxels
    free = (layer == 0) | (layer == target.value)
    layer[free] = np.where(seen[free], target.value, 0).astype(layer.dtype)
    return Patch.between(segmentation.labels, segmentation.geometry.image(voxels))


def _flat(grid: Geometry) -> Matrix:
    """Return the axes along which a volume is one voxel thick (a radiograph in 3D Slicer), shape (n, d).

    Mirrors keep to the plane of the picture.
    """
    return grid.cosines.T[[n == 1 for n in grid.size]] if grid.dimension == 3 else np.zeros((0, grid.dimension))


def _sideways(flat: Matrix) -> Matrix:
    """Return the direction nearest to the patient's left that lies in the picture."""
    left = np.eye(flat.shape[1])[0]
    within = left - flat.T @ (flat @ left)
    if np.linalg.norm(within) < _IN_PICTURE:
        raise BadInput("the picture shows the patient from the side, so that left and right lie behind each other")
    return np.asarray(within / np.linalg.norm(within))


def _best(first: Mirror, flat: Matrix, cost: Callable[[Mirror], float]) -> Mirror:
    """Turn and shift a mirror until the cost is least; turns are in units of 5 degrees, shifts of 5 mm.

    It begins with the best of some turns, for a head turned by 10 degrees has a poor mirror near the straight one too.
    """
    kept = np.vstack([first.normal, flat])
    sides = np.linalg.svd(kept)[2][len(kept) :]

    def moved(steps: Matrix) -> Mirror:
        normal = first.normal + np.tan(np.clip(steps[1:] * _TURN, -1.0, 1.0)) @ sides
        return replace(
            first, point=first.point + steps[0] * _SHIFT_MM * first.normal, normal=normal / np.linalg.norm(normal)
        )

    starts = [np.array([0.0, *turns]) for turns in itertools.product(_STARTS, repeat=len(sides))]
    found = optimize.minimize(
        lambda steps: cost(moved(steps)),
        min(starts, key=lambda steps: cost(moved(steps))),
        method="Powell",
        options={"xtol": 1e-3, "ftol": 1e-6},
    )
    return moved(np.atleast_1d(found.x))


def _coarse(image: sitk.Image) -> sitk.Image:
    grid = Geometry.of(image)
    size = [min(n, _COARSE) for n in grid.size]
    factors = [n / m for n, m in zip(grid.size, size, strict=True)]
    sigmas = [max(0.5 * f * s, 1e-3) for f, s in zip(factors, grid.spacing, strict=True)]
    smooth = sitk.DiscreteGaussian(sitk.Cast(image, sitk.sitkFloat32), [s * s for s in sigmas])
    return resample(smooth, grid.resized(size), sitk.sitkLinear)


def _needed(segmentation: Segmentation, segment: Segment) -> Mask:
    mask = segmentation.mask(segment)
    if not mask.any():
        raise BadInput(f"segment {segment.name!r} is empty; draw it first")
    return mask


def _centres(grid: Geometry, mask: Mask) -> Matrix:
    """Return the centres of the voxels of a mask in LPS mm, shape (n, d), in array order."""
    index = np.argwhere(mask)[:, ::-1]
    return np.asarray(index @ grid.affine[:-1, :-1].T + grid.affine[:-1, -1])


def _some(points: Matrix) -> Matrix:
    return points[:: max(1, len(points) // _POINTS)]


def _distance(mask: Mask, grid: Geometry) -> Matrix:
    return np.asarray(ndimage.distance_transform_edt(~mask, grid.spacing[::-1]))


def _sampled(voxels: Matrix, grid: Geometry, points: Matrix, outside: float = math.nan) -> Matrix:
    """Read an array at points in LPS mm, between voxels linearly; the outer halves of outer voxels are inside."""
    index = np.linalg.solve(grid.affine[:-1, :-1], (points - grid.affine[:-1, -1]).T)[::-1]
    last = np.array(grid.shape)[:, None] - 1
    index = np.where((index >= -0.5) & (index <= last + 0.5), np.clip(index, 0, last), index)
    return np.asarray(ndimage.map_coordinates(voxels, index, order=1, cval=outside))
