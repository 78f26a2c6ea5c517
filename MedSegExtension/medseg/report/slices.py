"""Which slices of a volume are shown, and how they lie: radiological convention, in the patient's three planes.

Index axes are put in the order left, posterior, inferior. Pictures then need no turning: the patient's right is on the
left of axial and coronal pictures, anterior is up in axial ones and left in sagittal ones, and superior is up.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from medseg.geometry import Geometry, resample
from medseg.segmentation import Mask, Segment, Segmentation

Gray = npt.NDArray[np.float32]

_ORIENTATION = "LPI"
_PERCENTILES = (1.0, 99.5)
_PADDING = 0.01
_SAMPLES = 1_000_000
_SURROUNDINGS = 0.1


@dataclass(frozen=True)
class Plane:
    """A family of parallel pictures.

    Attributes:
        name: what people call it, and its file.
        across: the index axis that runs through the pictures (i, j, k on the displayed grid); None for a radiograph.
        edges: letters of the left, right, upper and lower edge.
        sides: letters of the low and the high end of the patient axis across the pictures.
    """

    name: str
    across: int | None
    edges: str = ""
    sides: str = ""


AXIAL = Plane("axial", 2, "RLAP", "IS")
CORONAL = Plane("coronal", 1, "RLSI", "AP")
SAGITTAL = Plane("sagittal", 0, "APSI", "RL")
PICTURE = Plane("image", None)


@dataclass(frozen=True, eq=False)
class Slice:
    """One picture: grey values in [0, 1], shape (rows, columns), and the masks of the segments that it cuts.

    Attributes:
        spacing: mm from row to row and from column to column.
        position: where it lies, e.g. "S 12 mm"; empty for a radiograph.
    """

    plane: Plane
    position: str
    gray: Gray
    spacing: tuple[float, float]
    masks: tuple[tuple[Segment, Mask], ...]

    @property
    def extent(self) -> tuple[float, float]:
        """Height and width in mm, from outer pixel edge to outer pixel edge."""
        return self.gray.shape[0] * self.spacing[0], self.gray.shape[1] * self.spacing[1]


def planes(grid: Geometry) -> tuple[Plane, ...]:
    """Return the planes worth showing: those in which a picture is more than one line of voxels."""
    if grid.dimension == 2:
        return (PICTURE,)
    size = grid.oriented(_ORIENTATION).size
    every = (AXIAL, CORONAL, SAGITTAL)
    wide = [p for p in every if min(n for axis, n in enumerate(size) if axis != p.across) > 1]
    return tuple(wide or every)


def slices(image: sitk.Image, segmentation: Segmentation, plane: Plane, count: int) -> tuple[Slice, ...]:
    """Return up to `count` slices of a plane, evenly spaced through the segments and a little beyond.

    Without any segmented voxel they run through the whole volume. `image` may lie on another grid.
    """
    scalar = sitk.VectorIndexSelectionCast(image, 0) if image.GetNumberOfComponentsPerPixel() > 1 else image
    window = _window(scalar)
    grids = _picture_grids(segmentation, plane, count)
    return tuple(_slice(scalar, segmentation, plane, grid, window) for grid in grids)


def tilt(grid: Geometry) -> float:
    """Return the largest angle in degrees between a voxel axis and the patient axis next to it; 0 in 2D."""
    if grid.dimension == 2:
        return 0.0
    nearest = np.diag(grid.oriented("LPS").cosines)
    return float(np.degrees(np.arccos(np.clip(nearest.min(), 0.0, 1.0))))


def spread(low: int, high: int, size: int, count: int) -> list[int]:
    """Choose up to `count` indices through `low`..`high` and its surroundings on an axis of `size` voxels.

    >>> spread(40, 59, 100, 4)
    [41, 47, 52, 58]
    >>> spread(5, 5, 7, 4)
    [3, 4, 5, 6]
    """
    length = high - low + 1
    margin = max(round(_SURROUNDINGS / 2 * length), -((length - count) // 2), 0)
    begin, end = max(low - margin, 0), min(high + margin + 1, size)
    begin, end = max(min(begin, end - count), 0), min(max(end, begin + count), size)
    shown = min(count, end - begin)
    return [begin + int((number + 0.5) * (end - begin) / shown) for number in range(shown)]


def _picture_grids(segmentation: Segmentation, plane: Plane, count: int) -> Iterator[Geometry]:
    if plane.across is None:
        yield segmentation.geometry
        return
    grid = segmentation.geometry.oriented(_ORIENTATION)
    low, high = _span(segmentation, grid, plane.across)
    for index in spread(low, high, grid.size[plane.across], count):
        start, size = [0, 0, 0], list(grid.size)
        start[plane.across], size[plane.across] = index, 1
        yield grid.crop(start, size)


def _span(segmentation: Segmentation, grid: Geometry, axis: int) -> tuple[int, int]:
    """First and last index on `grid` with a segmented voxel; the whole axis where there is none."""
    labels = sitk.GetArrayViewFromImage(segmentation.labels)
    found = labels.any(axis=-1) if segmentation.layers > 1 else labels != 0
    hits = [np.flatnonzero(found.any(axis=tuple({0, 1, 2} - {a}))) for a in (2, 1, 0)]
    if not hits[0].size:
        return 0, grid.size[axis] - 1
    corners = itertools.product(*[(hit[0], hit[-1]) for hit in hits])
    ends = [round(grid.index(segmentation.geometry.point(corner))[axis]) for corner in corners]
    return min(ends), max(ends)


def _slice(
    image: sitk.Image, segmentation: Segmentation, plane: Plane, grid: Geometry, window: tuple[float, float]
) -> Slice:
    across = plane.across
    # on the same grid each pixel is a voxel; interpolating integers there would lose 1 wherever rounding errs downwards
    same = Geometry.of(image).same_as(segmentation.geometry)
    interpolator = sitk.sitkNearestNeighbor if same else sitk.sitkLinear
    voxels = sitk.GetArrayFromImage(resample(image, grid, interpolator, outside=window[0]))
    labels = sitk.GetArrayFromImage(resample(segmentation.labels, grid, sitk.sitkNearestNeighbor))
    if across is not None:
        voxels, labels = voxels.squeeze(2 - across), labels.squeeze(2 - across)
    spacing = [s for axis, s in enumerate(grid.spacing) if axis != across]
    return Slice(
        plane, _position(plane, grid), _scaled(voxels, window), (spacing[1], spacing[0]), _masks(labels, segmentation)
    )


def _masks(labels: npt.NDArray[np.integer], segmentation: Segmentation) -> tuple[tuple[Segment, Mask], ...]:
    layers = [labels[..., n] for n in range(segmentation.layers)] if segmentation.layers > 1 else [labels]
    present = [set(np.unique(layer).tolist()) for layer in layers]
    return tuple((s, layers[s.layer] == s.value) for s in segmentation.segments if s.value in present[s.layer])


def _position(plane: Plane, grid: Geometry) -> str:
    if plane.across is None:
        return ""
    place = grid.point([(n - 1) / 2 for n in grid.size])[plane.across]
    high = plane.sides[1] if place >= 0 else plane.sides[0]
    return f"{high} {abs(place):.0f} mm"


def _window(image: sitk.Image) -> tuple[float, float]:
    """Grey values shown as black and white: percentiles of the finite voxels, a sample of them in a large image.

    The lowest value is left out where many voxels have it: background, or the padding around a CT's circle.
    """
    voxels = sitk.GetArrayViewFromImage(image).ravel()
    sample = voxels[:: max(voxels.size // _SAMPLES, 1)].astype(np.float64)
    finite = sample[np.isfinite(sample)]
    if finite.size and np.mean(finite == finite.min()) > _PADDING:
        rest = finite[finite > finite.min()]
        finite = rest if rest.size and rest.max() > rest.min() else finite
    low, high = np.percentile(finite, _PERCENTILES) if finite.size else (0.0, 1.0)
    return float(low), float(high if high > low else low + 1.0)


def _scaled(voxels: npt.NDArray[np.generic], window: tuple[float, float]) -> Gray:
    low, high = window
    gray = (voxels.astype(np.float32) - low) / (high - low)
    return np.asarray(np.clip(np.nan_to_num(gray, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0), np.float32)
