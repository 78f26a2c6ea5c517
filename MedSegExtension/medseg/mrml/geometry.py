"""Between RAS, in which 3D Slicer's nodes speak, and LPS, in which the rest of the library does. Millimetres both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import slicer
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkCommonTransforms import vtkGeneralTransform

from medseg.formats.axes import from_affine
from medseg.geometry import Geometry, Matrix

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Homogeneous matrix from RAS to LPS, and from LPS to RAS."""


def array_of(matrix: vtkMatrix4x4) -> Matrix:
    """Return a matrix of VTK as an array, shape (4, 4)."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def matrix_of(array: Matrix) -> vtkMatrix4x4:
    """Return an array, shape (4, 4), as a matrix of VTK."""
    matrix = vtkMatrix4x4()
    matrix.DeepCopy([float(x) for x in np.ravel(array)])
    return matrix


def grid_of(extent: Sequence[int], ijk_to_ras: vtkMatrix4x4) -> Geometry:
    """Return where the voxels of a VTK image lie, LPS mm.

    Args:
        extent: first and last index along i, j and k; it need not begin at 0.
        ijk_to_ras: homogeneous matrix from index to RAS mm.

    Returns:
        A grid whose direction columns have length 1, at right angles only if those of the matrix are.
    """
    size = [last - first + 1 for first, last in zip(extent[::2], extent[1::2], strict=True)]
    return from_affine(size, FLIP @ array_of(ijk_to_ras)).crop(extent[::2], size)


def ijk_to_ras(grid: Geometry) -> vtkMatrix4x4:
    """Return the homogeneous matrix from index to RAS mm of a 3D grid."""
    return matrix_of(FLIP @ grid.affine)


def transform_between(
    source: slicer.vtkMRMLTransformableNode, target: slicer.vtkMRMLTransformableNode
) -> vtkGeneralTransform:
    """Return the transform from a node's own coordinates to another's, RAS mm, through the parents of both.

    It holds nothing if both have the same parent, so no rounding creeps in.
    """
    transform = vtkGeneralTransform()
    parents = source.GetParentTransformNode(), target.GetParentTransformNode()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(*parents, transform)
    return transform


def transform_from_world(target: slicer.vtkMRMLTransformableNode) -> vtkGeneralTransform:
    """Return the transform from the world to a node's own coordinates, RAS mm."""
    transform = vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, target.GetParentTransformNode(), transform)
    return transform


def moved(points: Iterable[Iterable[float]], transform: vtkGeneralTransform) -> Matrix:
    """Return points in RAS mm transformed, as points in LPS mm, shape (n, 3)."""
    ras = [transform.TransformPoint([float(x) for x in point]) for point in points]
    return np.asarray(np.array(ras, dtype=float).reshape(-1, 3) * np.diag(FLIP)[:3])
