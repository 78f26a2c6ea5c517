"""Label maps as Slicer's segments hold them: images that carry their own directions and begin at any index."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import cast

import numpy as np
import slicer
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkCommonTransforms import vtkGeneralTransform

from medseg.geometry import Geometry
from medseg.mrml import voxels
from medseg.mrml.geometry import FLIP, grid_of, ijk_to_ras, moved
from medseg.mrml.layers import Labels, Where
from medseg.segmentation import Mask

_NOTHING = (np.zeros((0, 0, 0), np.uint8), (slice(0, 0),) * 3)


def labelmap(labels: Labels | Mask, grid: Geometry, start: Sequence[int] = (0, 0, 0)) -> slicer.vtkOrientedImageData:
    """Return the labelled part of a label map as Slicer holds it; without labels it is empty.

    Only the smallest box with all labels is kept, as Slicer does: drawing, editing and undo cost by its size.

    Args:
        labels: the voxels, shape (k, j, i).
        grid: the grid whose index (0, 0, 0) Slicer shall count from.
        start: index (i, j, k) on that grid of the first voxel.
    """
    image = slicer.vtkOrientedImageData()
    image.SetImageToWorldMatrix(ijk_to_ras(grid))
    box = _box(labels)
    if box is not None:
        voxels.fill(image, voxels.drawable(labels[box]))
        first = [s.start + n for s, n in zip(reversed(box), start, strict=True)]
        last = [s.stop - 1 + n for s, n in zip(reversed(box), start, strict=True)]
        image.SetExtent([int(n) for pair in zip(first, last, strict=True) for n in pair])
    return image


def on_grid(
    image: slicer.vtkOrientedImageData | None, grid: Geometry, to_grid: vtkGeneralTransform
) -> tuple[Labels, Where]:
    """Return a label map of Slicer on a grid, and where on it, as slices of (k, j, i); both may be empty.

    Args:
        image: the label map; it may have voxels of its own, which the nearest of are taken.
        grid: where it is wanted, LPS mm.
        to_grid: transform from the label map's coordinates to those of the grid, RAS mm.
    """
    if image is None or image.IsEmpty():
        return _NOTHING
    own = grid_of_labelmap(image)
    start = _offset(own, grid) if not to_grid.GetNumberOfConcatenatedTransforms() else None
    return _resampled(image, own, grid, to_grid) if start is None else _shifted(image, start, grid)


def grid_of_labelmap(image: slicer.vtkOrientedImageData) -> Geometry:
    """Return where the voxels of a label map lie, LPS mm."""
    matrix = vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return grid_of(image.GetExtent(), matrix)


def empty_on(grid: Geometry, where: Where) -> slicer.vtkOrientedImageData:
    """Return a label map without voxels that says where a part of a grid lies."""
    image = slicer.vtkOrientedImageData()
    image.SetExtent([n for s in reversed(where) for n in (s.start, s.stop - 1)])
    image.SetImageToWorldMatrix(ijk_to_ras(grid))
    return image


def _box(labels: Labels | Mask) -> Where | None:
    """Return the smallest box that holds all labels."""
    spans = []
    for axis in range(3):
        labelled = np.flatnonzero(labels.any(axis=tuple(a for a in range(3) if a != axis)))
        if not labelled.size:
            return None
        spans.append(slice(int(labelled[0]), int(labelled[-1]) + 1))
    return tuple(spans)


def _labels(image: slicer.vtkOrientedImageData) -> Labels:
    """Return the voxels without copying them; Slicer of old could store them as real numbers."""
    labels = voxels.view(image)
    return cast(Labels, labels if np.issubdtype(labels.dtype, np.integer) else labels.astype(np.int32))


def _offset(own: Geometry, grid: Geometry) -> list[int] | None:
    """Return the index on `grid` at which `own` begins, if both share their voxels."""
    start = [round(x) for x in grid.index(own.origin)]
    return start if grid.crop(start, own.size).same_as(own) else None


def _shifted(image: slicer.vtkOrientedImageData, start: list[int], grid: Geometry) -> tuple[Labels, Where]:
    labels = _labels(image)
    # both in the order of numpy: k first
    begins, sizes = start[::-1], zip(labels.shape, grid.shape, strict=True)
    spans = [(b, max(b, 0), min(b + own, size)) for b, (own, size) in zip(begins, sizes, strict=True)]
    if any(low >= high for _, low, high in spans):
        return _NOTHING
    part = labels[tuple(slice(low - b, high - b) for b, low, high in spans)]
    return part, tuple(slice(low, high) for _, low, high in spans)


def _resampled(
    image: slicer.vtkOrientedImageData, own: Geometry, grid: Geometry, to_grid: vtkGeneralTransform
) -> tuple[Labels, Where]:
    where = _reach(own, grid, to_grid)
    if where is None:
        return _NOTHING
    result = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        image, empty_on(grid, where), result, False, False, to_grid
    )
    return _labels(result), where


def _reach(own: Geometry, grid: Geometry, to_grid: vtkGeneralTransform) -> Where | None:
    """Return the part of `grid` that a label map may touch; all of it if it is bent on the way."""
    if not slicer.vtkMRMLTransformNode.IsGeneralTransformLinear(to_grid):
        return tuple(slice(0, n) for n in grid.shape)
    corners = [own.point(index) for index in itertools.product(*[(-0.5, n - 0.5) for n in own.size])]
    ras = np.array(corners) * np.diag(FLIP)[:3]
    indices = np.array([grid.index(point) for point in moved(ras, to_grid)])
    low = np.maximum(np.floor(indices.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(indices.max(axis=0)).astype(int) + 1, grid.size)
    if (low >= high).any():
        return None
    return tuple(slice(int(a), int(b)) for a, b in reversed(list(zip(low, high, strict=True))))
