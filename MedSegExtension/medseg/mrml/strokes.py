"""Lines and outlines as masks on a grid."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from medseg.geometry import Geometry, Matrix
from medseg.segmentation import Mask

Indices = npt.NDArray[np.int_]


def along(grid: Geometry, line: Matrix, radius: float) -> sitk.Image | None:
    """Return the voxels within `radius` mm of a line, as a crop of a mask (uint8); None if it misses the grid.

    Args:
        grid: the voxels, LPS mm.
        line: corners of the line in order, LPS mm, shape (n, 3).
        radius: half the width in mm, measured from the voxels that the line runs through, which are always in.
    """
    indices = _dense(np.array([grid.index(point) for point in line]))
    return _mask(grid, (indices[:, None] + _ball(radius, grid.spacing)).reshape(-1, 3))


def enclosed(grid: Geometry, outline: Matrix) -> sitk.Image | None:
    """Return the voxels inside a flat outline, one voxel thick, as a crop of a mask (uint8); None if there are none.

    Args:
        grid: the voxels.
        outline: corners in order, as fractional indices (i, j, k), shape (n, 3); any plane will do.
    """
    middle = outline.mean(axis=0)
    normal = np.linalg.svd(outline - middle, full_matrices=False)[2][2]
    across = int(np.abs(normal).argmax())
    plane = [axis for axis in range(3) if axis != across]
    low = np.floor(outline.min(axis=0)).astype(int)
    size = np.ceil(outline.max(axis=0)).astype(int) - low + 1
    inside = np.argwhere(_filled((outline - low)[:, plane], size[plane])) + low[plane]
    indices = np.zeros((len(inside), 3), int)
    indices[:, plane] = inside
    indices[:, across] = np.rint(middle[across] - (inside - middle[plane]) @ normal[plane] / normal[across])
    return _mask(grid, indices)


def _mask(grid: Geometry, indices: Indices) -> sitk.Image | None:
    """Return the smallest crop of a mask (uint8) that holds those voxels of the grid."""
    there = indices[((indices >= 0) & (indices < grid.size)).all(axis=1)]
    if not len(there):
        return None
    low, high = there.min(axis=0), there.max(axis=0)
    mask = np.zeros((high - low + 1)[::-1], np.uint8)
    mask[tuple((there - low).T[::-1])] = 1
    return grid.crop([int(n) for n in low], mask.shape[::-1]).image(mask)


def _ball(radius: float, spacing: tuple[float, ...]) -> Indices:
    """Return the offsets of all voxels within `radius` mm of a voxel, shape (n, 3)."""
    reach = [int(radius / s) for s in spacing]
    offsets = np.array(list(itertools.product(*[range(-r, r + 1) for r in reach])))
    return np.asarray(offsets[np.linalg.norm(offsets * spacing, axis=1) <= radius])


def _dense(corners: Matrix) -> Indices:
    """Return the indices of the voxels that a line runs through, sampled at quarters of a voxel, shape (m, 3)."""
    pieces = [corners[:1]]
    for first, last in itertools.pairwise(corners):
        steps = max(1, int(np.ceil(np.abs(last - first).max() * 4)))
        pieces.append(first + (last - first) * (np.arange(1, steps + 1) / steps)[:, None])
    return np.asarray(np.unique(np.rint(np.concatenate(pieces)).astype(int), axis=0))


def _filled(polygon: Matrix, size: Indices) -> Mask:
    """Return which whole-numbered points lie inside a closed polygon, by the even-odd rule, shape of `size`.

    Every edge flips all points beyond it in its row (Shimrat 1962, Algorithm 112); the flips are summed up at the end.
    """
    flips = np.zeros((size[0] + 1, size[1]), int)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        rows = np.arange(int(np.ceil(min(y0, y1))), int(np.ceil(max(y0, y1))))
        if rows.size:
            crossings = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
            np.add.at(flips, (np.ceil(crossings).astype(int), rows), 1)
    return np.asarray(np.cumsum(flips, axis=0)[:-1] % 2 == 1)
