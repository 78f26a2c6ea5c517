"""From the network's labels back to a segmentation on the input's grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from medseg.geometry import Geometry, resample
from medseg.model_card import ModelCard, Postprocessing
from medseg.segmentation import Segmentation


def restore(
    labels: npt.NDArray[np.integer], network_grid: Geometry, input_grid: Geometry, card: ModelCard
) -> Segmentation:
    """Put labels on the network's grid onto the input's grid and clean them as the card says.

    Where the voxels of both grids coincide this is an exact copy; where spacings differ, each label is weighted
    linearly (a smooth border), or the nearest one is taken if the card interpolates so.

    Args:
        labels: shape (i, j, k), or (layer, i, j, k) where segments may overlap.
        network_grid: where the labels lie.
        input_grid: where the result shall lie.
        card: whose segments they are.
    """
    layers = labels if labels.ndim > network_grid.dimension else labels[np.newaxis]
    restored = [
        _restore_layer(layer, network_grid, input_grid, card, [s.value for s in card.segments if s.layer == number])
        for number, layer in enumerate(layers)
    ]
    return Segmentation(restored[0] if len(restored) == 1 else sitk.Compose(restored), card.segments)


def _restore_layer(
    labels: npt.NDArray[np.integer], network_grid: Geometry, input_grid: Geometry, card: ModelCard, known: list[int]
) -> sitk.Image:
    image = network_grid.image(np.ascontiguousarray(labels.T))
    image = resample(image, input_grid, _interpolator(network_grid, input_grid, card))
    return clean(_only(image, known), card.postprocessing, known)


def _interpolator(network_grid: Geometry, input_grid: Geometry, card: ModelCard) -> int:
    same_spacing = np.allclose(sorted(network_grid.spacing), sorted(input_grid.spacing), rtol=1e-4)
    nearest = card.preprocessing.interpolation == "nearest" or same_spacing
    return int(sitk.sitkNearestNeighbor if nearest else sitk.sitkLabelLinear)


def _only(labels: sitk.Image, known: list[int]) -> sitk.Image:
    """Blank the classes that the card gives no segment (a network may have helper classes)."""
    voxels = sitk.GetArrayViewFromImage(labels)
    highest = max([int(voxels.max()), *known])
    table = np.zeros(highest + 1, np.uint8 if highest < 256 else np.int16)
    table[known] = known
    return Geometry.of(labels).image(table[voxels])


def clean(labels: sitk.Image, how: Postprocessing, values: list[int]) -> sitk.Image:
    """Keep each segment's largest component (26-neighbours) and fill its holes (6-neighbours), as asked.

    A filled hole never overwrites another segment.
    """
    if not (how.largest_component or how.fill_holes):
        return labels
    result = sitk.Image(labels)
    for value in values:
        before = labels == value
        after = _largest(before) if how.largest_component else before
        if how.fill_holes:
            after = sitk.BinaryFillhole(after, fullyConnected=False)
        result = sitk.Mask(result, sitk.Not(sitk.And(before, sitk.Not(after))))
        added = sitk.And(after, result == 0)
        result += sitk.Cast(added, result.GetPixelID()) * value
    return result


def _largest(mask: sitk.Image) -> sitk.Image:
    components = sitk.ConnectedComponent(mask, True)
    return sitk.RelabelComponent(components, sortByObjectSize=True) == 1


def largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the largest component (26-neighbours) of a mask of any axis order; an empty one stays empty."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8))
    found: npt.NDArray[np.bool_] = sitk.GetArrayFromImage(_largest(image)).astype(bool)
    return found
