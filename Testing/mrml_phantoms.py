"""Three segments on any grid, for the tests of segmentation nodes."""

import numpy as np

from medseg.geometry import Geometry
from medseg.segmentation import Code, Segment, Segmentation

ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
LIVER = Segment(
    2,
    "Liver ü",
    (0.5, 0.25, 1.0),
    Code("10200004", "SCT", "Liver"),
    ANATOMY,
    key="liver",
    modifier=Code("7771000", "SCT", "Left"),
)
SPLEEN = Segment(5, "Spleen", (0.0, 1.0, 0.0), Code("78961009", "SCT", "Spleen"), ANATOMY, key="spleen")
UNCODED = Segment(9, "Something", (1.0, 0.0, 0.0), key="something")


def labels_on(grid: Geometry) -> np.ndarray:
    """Three segments; voxels at two corners, so that no flip goes unseen."""
    array = np.zeros(grid.shape, np.uint8)
    array[1:3, 2:4, 3:6] = 2
    array[3:, 1:2, 2:5] = 5
    array[0, 0, 0] = 9
    array[-1, -1, 0] = 9
    return array


def three_segments(grid: Geometry) -> Segmentation:
    return Segmentation(grid.image(labels_on(grid)), (LIVER, SPLEEN, UNCODED))
