"""Segments that are surfaces, and the voxels inside of them."""

from __future__ import annotations

import slicer
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkCommonTransforms import vtkGeneralTransform
from vtkmodules.vtkFiltersGeneral import vtkTransformPolyDataFilter

from medseg.errors import BadInput
from medseg.mrml.geometry import transform_between

BINARY = "Binary labelmap"
SURFACE = "Closed surface"
"""Names of representations, as Slicer writes them into files."""


def filled(node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkSegmentation:
    """Return a copy of the segments as label maps with the voxels and in the coordinates of a volume.

    The surfaces are transformed first and filled then, so that no voxel is resampled.

    Raises:
        BadInput: if a segment has no surface and none can be made.
    """
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(node.GetSegmentation())
    if not copy.CreateRepresentation(SURFACE):
        raise _unusable(node)
    copy.SetSourceRepresentationName(SURFACE)
    to_volume = transform_between(node, volume_node)
    for key in copy.GetSegmentIDs():
        _move(copy.GetSegment(key).GetRepresentation(SURFACE), to_volume)
    _set_reference(copy, volume_node)
    if not copy.CreateRepresentation(BINARY):
        raise _unusable(node)
    return copy


def _move(surface: vtkPolyData, transform: vtkGeneralTransform) -> None:
    """Transform a surface in place; Slicer's own way refuses some linear transforms, and warns of others."""
    mover = vtkTransformPolyDataFilter()
    mover.SetInputData(surface)
    mover.SetTransform(transform)
    mover.Update()
    surface.DeepCopy(mover.GetOutput())


def _set_reference(segmentation: slicer.vtkSegmentation, volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    converter, matrix = slicer.vtkSegmentationConverter, vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    geometry = converter.SerializeImageGeometry(matrix, volume_node.GetImageData())
    segmentation.SetConversionParameter(converter.GetReferenceImageGeometryParameterName(), geometry)


def _unusable(node: slicer.vtkMRMLSegmentationNode) -> BadInput:
    kind = node.GetSegmentation().GetSourceRepresentationName()
    return BadInput(
        f"segmentation {node.GetName()!r} holds {kind!r} that cannot be made into voxels; "
        "convert it to binary labelmaps in the module Segmentations"
    )
