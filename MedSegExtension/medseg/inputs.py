"""Do these images fit this model? The one place that answers, for every front end and every engine."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from medseg.errors import BadInput, Notice
from medseg.geometry import Geometry, resample
from medseg.model_card import ModelCard


def fit(card: ModelCard, images: Sequence[sitk.Image], names: Sequence[str] = ()) -> list[sitk.Image]:
    """Return the images as float32 on the first one's grid, one for each of the card's inputs.

    Args:
        card: the model.
        images: in the order of the card's inputs.
        names: what to call each image in messages (its file or node), where known.

    Raises:
        BadInput: if number, dimension or voxels do not fit; the message names the image and what to do.
    """
    wanted = [channel.name for channel in card.inputs]
    called = [*names, *(f"image {n + 1}" for n in range(len(names), len(images)))]
    if len(images) != len(wanted):
        raise BadInput(
            f"model {card.name} wants {len(wanted)} image(s) ({', '.join(wanted)}) but got {len(images)}"
            f" ({', '.join(called)}); give one 3D image for each, in this order"
        )
    for image, name in zip(images, called, strict=True):
        _check(image, name)
        if card.dimension not in (0, image.GetDimension()):
            raise BadInput(
                f"{name} is {image.GetDimension()}D but model {card.name} wants {card.dimension}D images; "
                "choose another image or model"
            )
    return [_on_first(images[0], image, name) for image, name in zip(images, called, strict=True)]


def _check(image: sitk.Image, name: str) -> None:
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise BadInput(f"{name} has {image.GetNumberOfComponentsPerPixel()} values a voxel; give a scalar image")
    if image.GetDimension() not in (2, 3):
        raise BadInput(f"{name} has {image.GetDimension()} dimensions; give one 3D volume of it")
    voxels = sitk.GetArrayViewFromImage(image)
    if voxels.size == 0:
        raise BadInput(f"{name} has no voxels")
    if not np.isfinite(voxels.sum(dtype=np.float64)):
        bad = int(np.count_nonzero(~np.isfinite(voxels)))
        if bad:
            raise BadInput(f"{name} has {bad} voxel(s) that are NaN or infinite; replace them, for example by 0")
    low, high = voxels.min(), voxels.max()
    if low == high:
        raise BadInput(f"{name} is empty: every voxel is {low:g}; choose a volume with an image in it")


def _on_first(first: sitk.Image, image: sitk.Image, name: str) -> sitk.Image:
    floats = sitk.Cast(image, sitk.sitkFloat32)
    grid = Geometry.of(first)
    if Geometry.of(image).same_as(grid):
        return floats
    if grid.dimension != image.GetDimension():
        raise BadInput(f"{name} is {image.GetDimension()}D but the first image is {grid.dimension}D")
    if not _overlap(grid, Geometry.of(image)):
        raise BadInput(f"{name} does not overlap the first image in space; register them, or choose another")
    warnings.warn(f"{name} lies on another grid and was resampled to the first image's", Notice, stacklevel=4)
    return resample(floats, grid)


def _overlap(first: Geometry, second: Geometry) -> bool:
    """Whether any of a coarse lattice of points of one grid lies inside the other."""
    return _reaches(first, second) or _reaches(second, first)


def _reaches(grid: Geometry, other: Geometry) -> bool:
    ticks = [np.linspace(-0.5, n - 0.5, 9) for n in grid.size]
    lattice = np.stack([*np.meshgrid(*ticks, indexing="ij")], axis=-1).reshape(-1, grid.dimension)
    points = lattice @ grid.affine[:-1, :-1].T + grid.affine[:-1, -1]
    inverse = np.linalg.inv(other.affine)
    indices = points @ inverse[:-1, :-1].T + inverse[:-1, -1]
    return bool(np.all((indices >= -0.5) & (indices <= np.asarray(other.size) - 0.5), axis=1).any())
