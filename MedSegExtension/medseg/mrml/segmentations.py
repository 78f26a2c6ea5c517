"""Segmentation nodes and segmentations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK as sitk
import slicer
from vtkmodules.vtkCommonTransforms import vtkGeneralTransform

from medseg.errors import BadInput
from medseg.formats.axes import at_right_angles
from medseg.formats.seg_nrrd import keys
from medseg.geometry import Geometry
from medseg.mrml import surfaces
from medseg.mrml.codes import Status, describe, described, set_status
from medseg.mrml.geometry import transform_between
from medseg.mrml.labelmaps import labelmap, on_grid
from medseg.mrml.layers import Layers
from medseg.mrml.volumes import as_volume, grid_of_volume
from medseg.segmentation import Segment, Segmentation


def show(
    segmentation: Segmentation,
    node: slicer.vtkMRMLSegmentationNode,
    source_volume_node: slicer.vtkMRMLScalarVolumeNode,
    status: Status = Status.IN_PROGRESS,
) -> None:
    """Make a segmentation node hold a segmentation, in place of all it held; its vtkSegmentation stays the same.

    Segments that do not overlap share a label map, as Slicer itself stores them. Surfaces that were shown in 3D go with
    the old content; the caller makes new ones. If anything fails, the node is as it was.

    Args:
        segmentation: in the own coordinates of the source volume, as `image_of` gives them, on any grid.
        node: the node to fill; it is put under the parent transform of the source volume.
        source_volume_node: the volume that was segmented; it becomes the reference geometry.
        status: how far the segments have come, as the Segment Editor shows it.

    Raises:
        BadInput: if a segment is said to be in a layer that the label image does not have.
    """
    content = _content(segmentation, status)
    with _at_once(node):
        node.SetAndObserveTransformNodeID(source_volume_node.GetTransformNodeID())
        _replace(node, content)
        node.SetReferenceImageGeometryParameterFromVolumeNode(source_volume_node)
    if node.GetScene() and not node.GetDisplayNode():
        node.CreateDefaultDisplayNodes()


def segmentation_of(node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode) -> Segmentation:
    """Return what a segmentation node holds, of whatever tool, on the grid of a volume; the node is not changed.

    Label maps on another grid take the nearest voxel; segments that are surfaces are filled. The parent transforms of
    both count, linear or not. Segments keep their order, and their voxel values where these are free; those that do
    not overlap share a layer. What lies outside the volume is left out.

    Raises:
        BadInput: if the volume has no voxels, or the segments can be made into no label map.
    """
    grid, to_grid = grid_of_volume(volume_node), transform_between(node, volume_node)
    content = node.GetSegmentation()
    if content.GetNumberOfSegments() and content.GetSourceRepresentationName() != surfaces.BINARY:
        content, to_grid = surfaces.filled(node, volume_node), vtkGeneralTransform()
    found = _gathered(content, grid, to_grid)
    (labels,) = at_right_angles([found.labels], f"volume {volume_node.GetName()!r}", sitk.sitkNearestNeighbor)
    return Segmentation(labels, found.segments)


def _content(segmentation: Segmentation, status: Status) -> dict[str, slicer.vtkSegment]:
    _check_layers(segmentation)
    labels = as_volume(segmentation.labels)
    voxels, grid = sitk.GetArrayViewFromImage(labels), Geometry.of(labels)
    layers = [voxels[..., n] for n in range(segmentation.layers)] if segmentation.layers > 1 else [voxels]
    labelmaps = [labelmap(layer, grid) for layer in layers]
    content = {}
    for key, segment in zip(keys(segmentation.segments), segmentation.segments, strict=True):
        content[key] = slicer.vtkSegment()
        describe(content[key], segment)
        set_status(content[key], status)
        content[key].AddRepresentation(surfaces.BINARY, labelmaps[segment.layer])
    return content


def _check_layers(segmentation: Segmentation) -> None:
    for segment in segmentation.segments:
        if not 0 <= segment.layer < segmentation.layers:
            layers = segmentation.layers
            raise BadInput(f"segment {segment.name!r} is in layer {segment.layer} of {layers}; number layers from 0")


@contextmanager
def _at_once(node: slicer.vtkMRMLNode) -> Iterator[None]:
    """Tell observers of a node once, at the end."""
    was_modifying = node.StartModify()
    try:
        yield
    finally:
        node.EndModify(was_modifying)


def _replace(node: slicer.vtkMRMLSegmentationNode, content: dict[str, slicer.vtkSegment]) -> None:
    held = node.GetSegmentation()
    for key in held.GetSegmentIDs():
        # Slicer would cut every segment that it removes out of the label map it shares, a volume each
        held.GetSegment(key).RemoveAllRepresentations()
    held.RemoveAllSegments()
    held.SetSourceRepresentationName(surfaces.BINARY)
    for key, segment in content.items():
        held.AddSegment(segment, key)


def _gathered(content: slicer.vtkSegmentation, grid: Geometry, to_grid: vtkGeneralTransform) -> Segmentation:
    sharing: dict[slicer.vtkOrientedImageData | None, list[str]] = {}
    for key in content.GetSegmentIDs():
        sharing.setdefault(content.GetSegment(key).GetRepresentation(surfaces.BINARY), []).append(key)
    layers = Layers(grid)
    segments: dict[str, Segment] = {}
    for image, group in sharing.items():
        values = {key: content.GetSegment(key).GetLabelValue() for key in group}
        layer, renamed = layers.add(*on_grid(image, grid, to_grid), values.values())
        segments |= {k: described(content.GetSegment(k), k, renamed[v], layer) for k, v in values.items()}
    return Segmentation(layers.image(), tuple(segments[key] for key in content.GetSegmentIDs()))
