"""Changes to a segment, made through the Segment Editor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

from medseg.correction import Patch
from medseg.geometry import Geometry
from medseg.mrml.geometry import transform_between
from medseg.mrml.labelmaps import grid_of_labelmap, labelmap, on_grid
from medseg.mrml.volumes import grid_of_volume
from medseg.segmentation import Mask, Segment, Segmentation


def show_patch(
    patch: Patch,
    segment: Segment,
    editor: slicer.vtkSlicerSegmentEditorLogic,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    """Change a segment as a patch does, within what the Segment Editor's masking allows and as it overwrites.

    Voxels that the patch does not change stay as they are now. To make it one step of undo, the caller has the
    Segment Editor save its state before.

    Args:
        patch: crops of a label image on the voxels of the volume, in the own coordinates of the volume.
        segment: which value, in which layer of the patch, is meant; its key names the segment in the node.
        editor: the logic, with an editor node that has the segmentation and the source volume.
        volume_node: the source volume.

    Raises:
        ValueError: if the patch does not lie on the voxels of the volume.
    """
    before, after = (Segmentation(image, (segment,)).mask(segment) for image in (patch.before, patch.after))
    where, grid = Geometry.of(patch.before), grid_of_volume(volume_node)
    grid.slices_of(where)
    start = [round(x) for x in grid.index(where.origin)]
    node = editor.GetSegmentationNode()
    modes: dict[int, Mask] = {
        editor.ModificationModeRemove: before & ~after,
        editor.ModificationModeAdd: after & ~before,
    }
    for mode, changed in modes.items():
        if np.any(changed):
            stroke = stroke_for(node, changed, start, volume_node)
            editor.ModifySegmentByLabelmap(node, segment.key, stroke, mode, False, False)


def stroke_for(
    node: slicer.vtkMRMLSegmentationNode,
    mask: Mask,
    start: Sequence[int],
    volume_node: slicer.vtkMRMLScalarVolumeNode,
) -> slicer.vtkOrientedImageData:
    """Return some voxels of a volume as what the Segment Editor's logic takes for a stroke of a brush.

    Where the two lie under different parent transforms, the nearest voxels of the segmentation's reference geometry are
    taken, as the editor's own brushes do.

    Args:
        node: the segmentation that is edited.
        mask: shape (k, j, i).
        start: index (i, j, k) of its first voxel in the volume.
        volume_node: the volume.
    """
    # counted from the volume's first voxel: the mask by intensity refuses label maps of another origin
    stroke = labelmap(mask, grid_of_volume(volume_node), start)
    to_node = transform_between(volume_node, node)
    if not to_node.GetNumberOfConcatenatedTransforms():
        return stroke
    reference = _reference_grid(node, volume_node)
    labels, where = on_grid(stroke, reference, to_node)
    return labelmap(labels, reference, [s.start for s in reversed(where)])


def _reference_grid(node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode) -> Geometry:
    converter, content, image = slicer.vtkSegmentationConverter, node.GetSegmentation(), slicer.vtkOrientedImageData()
    name = converter.GetReferenceImageGeometryParameterName()
    if not content.GetConversionParameter(name):  # as the Segment Editor does when it is given a source volume
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    converter.DeserializeImageGeometry(content.GetConversionParameter(name), image, False)
    return grid_of_labelmap(image)
