"""Voxels of VTK images as numpy arrays, shape (k, j, i)."""

from __future__ import annotations

import numpy as np
from vtkmodules.util.numpy_support import get_vtk_array_type, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData

from medseg.geometry import Array

_DRAWN = frozenset(np.dtype(name) for name in ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"))


def view(image: vtkImageData) -> Array:
    """Return the voxels of a scalar image without copying them; the array keeps them alive."""
    first_i, last_i, first_j, last_j, first_k, last_k = image.GetExtent()
    voxels: Array = vtk_to_numpy(image.GetPointData().GetScalars())
    return voxels.reshape(last_k - first_k + 1, last_j - first_j + 1, last_i - first_i + 1)


def fill(image: vtkImageData, array: Array) -> None:
    """Give an image the size, type and values of an array, shape (k, j, i); its extent begins at 0.

    The voxels are copied once, into memory that VTK owns.
    """
    image.SetDimensions([int(n) for n in array.shape[::-1]])
    image.AllocateScalars(get_vtk_array_type(array.dtype), 1)
    np.copyto(view(image), array)


def drawable(array: Array) -> Array:
    """Return an array as it is if Slicer can draw its type; else in the narrowest type that holds it.

    >>> drawable(np.array([0, 300])).dtype
    dtype('uint16')
    >>> drawable(np.array([False, True])).dtype
    dtype('uint8')
    """
    if array.dtype in _DRAWN:
        return array
    if array.dtype == bool:
        return array.view(np.uint8)
    narrow = np.promote_types(np.min_scalar_type(array.min()), np.min_scalar_type(array.max()))
    return array.astype(narrow if narrow in _DRAWN else np.float64)
