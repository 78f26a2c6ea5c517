"""Between our images and MONAI's tensors.

MONAI keeps voxels with axes (channel, i, j, k) and an affine from (i, j, k) to RAS millimetres; ours are LPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torch

from medseg.errors import BadInput
from medseg.geometry import Geometry, Matrix
from medseg.inference.bundle_parts import Loading

_NEAR = 1e-3  # of a voxel: what float32 arithmetic on an affine may move a corner by


def data(images: Sequence[sitk.Image], loading: Loading, name: str) -> dict[str, Any]:
    """Return what MONAI's `LoadImaged` would have given for these images.

    Args:
        images: float32, all on one grid.
        loading: how the bundle loads.
        name: of the bundle, for the message.

    Raises:
        BadInput: if the bundle loads some other number of images.
    """
    groups = [images] if len(loading.keys) == 1 else [[image] for image in images]
    if len(groups) != len(loading.keys):
        raise BadInput(
            f"bundle {name} loads {len(loading.keys)} image(s) ({', '.join(loading.keys)}) but its metadata names "
            f"{len(images)}; the bundle is inconsistent, ask its authors"
        )
    tensors = {key: _tensor(group, loading) for key, group in zip(loading.keys, groups, strict=True)}
    metas = {f"{key}_meta_dict": tensor.meta for key, tensor in tensors.items() if loading.with_meta}
    return {**tensors, **metas}


def grid_of(tensor: Any, dimension: int) -> Geometry:
    """Return the grid of a MetaTensor (channel, i, j[, k]) from its RAS affine."""
    affine = _reduced(np.asarray(tensor.affine, dtype=np.float64), dimension)
    affine[: min(2, dimension)] *= -1
    columns = affine[:-1, :-1]
    spacing = np.linalg.norm(columns, axis=0)
    return Geometry(
        tuple(int(n) for n in tensor.shape[1:]),
        tuple(float(s) for s in spacing),
        tuple(float(x) for x in affine[:-1, -1]),
        tuple(float(x) for x in (columns / spacing).ravel()),
    )


def is_on(tensor: Any, grid: Geometry) -> bool:
    """Whether a MetaTensor lies voxel by voxel on a grid."""
    return grid_of(tensor, grid.dimension).same_as(grid, max(1e-4, _NEAR * min(grid.spacing)))


def array_of(tensor: torch.Tensor) -> npt.NDArray[np.generic]:
    """Return a tensor (i, j, k) as an array (k, j, i) that shares its memory."""
    return np.asarray(torch.as_tensor(tensor).cpu().numpy().T)


def _tensor(images: Sequence[sitk.Image], loading: Loading) -> Any:
    from monai.data import MetaTensor

    arrays = [torch.from_numpy(sitk.GetArrayFromImage(image).T) for image in images]
    stacked = torch.stack(arrays) if len(arrays) > 1 or loading.channel_first else arrays[0]
    has_channel = stacked.ndim > images[0].GetDimension()
    affine = _ras(Geometry.of(images[0]))
    meta = {
        "affine": torch.as_tensor(affine),
        "original_affine": affine.copy(),
        "spatial_shape": np.asarray(images[0].GetSize()),
        "space": "RAS",
        # MONAI's way to say that the array has no channel axis
        "original_channel_dim": 0 if has_channel else float("nan"),
        "filename_or_obj": "image",
    }
    return MetaTensor(stacked.contiguous(), meta=meta)


def _ras(grid: Geometry) -> Matrix:
    """Affine from index to RAS mm, always 4 x 4, in the precision of a NIfTI header, as nibabel gives it.

    The precision matters: MONAI's `Spacing` aligns corners where they fall together to 1e-8, centres otherwise. From a
    NIfTI file an oblique grid never does, so without the rounding the result would lie up to half a voxel elsewhere.
    """
    affine = np.eye(4)
    within, last = slice(0, grid.dimension), slice(3, 4)
    affine[within, within] = grid.affine[:-1, :-1]
    affine[within, last] = grid.affine[:-1, -1:]
    affine[:2] *= -1
    return affine.astype(np.float32).astype(np.float64)


def _reduced(affine: Matrix, dimension: int) -> Matrix:
    """Drop the axes that an image of fewer dimensions does not have."""
    reduced = np.eye(dimension + 1)
    reduced[:-1, :-1] = affine[:dimension, :dimension]
    reduced[:-1, -1] = affine[:dimension, -1]
    return reduced
