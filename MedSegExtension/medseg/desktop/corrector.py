"""The module in which segmentations are corrected: Manual Correction of this extension, or the Segment Editor."""

from __future__ import annotations

import slicer

OURS = "MedSegCorrection"
SLICERS = "SegmentEditor"


def ours_is_there() -> bool:
    """Whether Manual Correction is loaded."""
    return hasattr(slicer.modules, OURS.lower())


def correct(node: slicer.vtkMRMLSegmentationNode, region: int = -1) -> None:
    """Open a segmentation in Manual Correction, or in the Segment Editor where that is not loaded.

    Args:
        node: the segmentation.
        region: which of its uncertain regions comes first in the review, counted from 0; -1 for no review.
    """
    name = OURS if ours_is_there() else SLICERS
    slicer.util.selectModule(name)
    widget = getattr(slicer.modules, name.lower()).widgetRepresentation().self()
    if name == OURS:
        widget.edit(node, region)
    else:
        widget.editor.setSegmentationNode(node)
