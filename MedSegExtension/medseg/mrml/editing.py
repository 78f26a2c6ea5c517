"""Changes to a segment, made through the Segment Editor."""

from __future__ import annotations

import numpy as np
import slicer

from medseg.correction import Patch
from medseg.geometry import Geometry
from medseg.mrml.labelmaps import labelmap
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
            # counted from the volume's first voxel: the mask by intensity refuses label maps of another origin
            editor.ModifySegmentByLabelmap(node, segment.key, labelmap(changed, grid, start), mode, False, False)
