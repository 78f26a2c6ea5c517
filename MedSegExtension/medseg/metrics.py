"""How far a segmentation agrees with a reference: overlap, distance between surfaces, and volume.

Masks are boolean arrays of 2 or 3 axes; `spacing` is the voxel size in mm, one number for each array axis
(so the reverse of `Geometry.spacing`). Everything beyond the edge of an image counts as background: where a mask is
cut off by the edge, the cut face is part of its surface. An axis of a single voxel has no inside to speak of, so a
volume of one slice is measured as the picture that it is.

Two empty masks agree completely (overlap 1, distances 0). If only one is empty, overlap is 0 and distances infinite.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import cKDTree
from surface_distance import lookup_tables

from medseg.errors import BadInput, Notice
from medseg.geometry import Geometry, resample
from medseg.segmentation import Mask, Segment, Segmentation, default_segments

Distances = npt.NDArray[np.float64]
Pair = tuple[Segment | None, Segment | None]

DEFAULT_TOLERANCE_MM = 1.0
# files keep spacing as float32: a neighbour at 1.0000001 mm is within a tolerance of 1 mm
_ROUNDING_MM = 1e-5
_SCORES = ("dice", "iou", "average_hausdorff_mm", "hd95_mm", "nsd")


@dataclass(frozen=True)
class LabelScores:
    """The scores of one segment, with its volumes in ml (not a number in 2D) and voxels on the reference's grid.

    `value` is the segment's voxel value in the reference, or in the prediction where the reference lacks it.
    """

    name: str
    value: int
    dice: float
    iou: float
    average_hausdorff_mm: float
    hd95_mm: float
    nsd: float
    nsd_tolerance_mm: float
    prediction_ml: float
    reference_ml: float
    prediction_voxels: int
    reference_voxels: int

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values, the volumes under "volumes"; what is infinite or not a number becomes None."""
        flat = {key: _finite(value) for key, value in asdict(self).items()}
        volumes = [field.name for field in fields(self) if field.name.endswith(("_ml", "_voxels"))]
        return {**{k: v for k, v in flat.items() if k not in volumes}, "volumes": {k: flat[k] for k in volumes}}


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """The distance in mm from each surface point of one mask to the nearest one of the other, shape (n,) each."""

    from_prediction: Distances
    from_reference: Distances

    @property
    def average_hausdorff_mm(self) -> float:
        """Half the sum of the two mean distances (Aydin et al. 2021, "On the usage of average Hausdorff distance")."""
        return self._each(np.mean, lambda one, other: 0.5 * (one + other))

    @property
    def hd95_mm(self) -> float:
        """The larger of the two 95th percentiles, linear between ranks (Taha and Hanbury 2015, quantile method)."""
        return self._each(lambda distances: np.percentile(distances, 95), max)

    def _each(self, reduce: Callable[[Distances], Any], join: Callable[[float, float], float]) -> float:
        sizes = self.from_prediction.size, self.from_reference.size
        if 0 in sizes:
            return math.inf if any(sizes) else 0.0
        return float(join(float(reduce(self.from_prediction)), float(reduce(self.from_reference))))


def dice(prediction: Mask, reference: Mask) -> float:
    """Twice the overlap divided by the sum of both sizes (Dice 1945).

    >>> dice(np.array([[True, True]]), np.array([[True, False]]))
    0.6666666666666666
    """
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return float(2.0 * np.count_nonzero(prediction & reference) / total) if total else 1.0


def iou(prediction: Mask, reference: Mask) -> float:
    """Overlap divided by union (Jaccard 1912)."""
    union = np.count_nonzero(prediction | reference)
    return float(np.count_nonzero(prediction & reference) / union) if union else 1.0


def surface_distances(prediction: Mask, reference: Mask, spacing: Sequence[float]) -> SurfaceDistances:
    """Measure between surface points: the centres of voxels of which a face neighbour is not in the mask.

    Raises:
        ValueError: if the masks differ in shape or have not one axis for each number of `spacing`.
    """
    prediction, reference, spacing = _measurable(prediction, reference, spacing)
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (prediction, reference)]
    return SurfaceDistances(_nearest(surfaces[0], surfaces[1], spacing), _nearest(surfaces[1], surfaces[0], spacing))


def surface_dice(prediction: Mask, reference: Mask, spacing: Sequence[float], tolerance_mm: float) -> float:
    """Share of both surfaces, by area, that lies within `tolerance_mm` of the other (Nikolov et al. 2018).

    The surface runs between voxel centres; the area of each of its elements (2D: its length) comes from the table of
    the `surface-distance` package, by the authors of the measure.

    Raises:
        ValueError: if the masks differ in shape or have not one axis for each number of `spacing`.
    """
    prediction, reference, spacing = _measurable(prediction, reference, spacing)
    areas = [_surface_areas(mask, spacing) for mask in (prediction, reference)]
    near, total = 0.0, 0.0
    for one, other in (areas, areas[::-1]):
        elements = one[one > 0]
        near += float(elements[_nearest(one > 0, other > 0, spacing) <= tolerance_mm + _ROUNDING_MM].sum())
        total += float(elements.sum())
    return min(near / total, 1.0) if total else 1.0


def evaluate(
    prediction: Segmentation, reference: Segmentation, tolerance_mm: float = DEFAULT_TOLERANCE_MM
) -> tuple[LabelScores, ...]:
    """Score every segment that either of the two has, on the reference's grid.

    Segments belong together by value. Where both sides have names of their own and the same name has different
    values, they belong together by name.

    Raises:
        BadInput: if the two do not overlap in space, differ in dimension, or the tolerance is no distance.
    """
    if not 0 <= tolerance_mm < math.inf:
        raise BadInput(f"a tolerance of {tolerance_mm} mm is not possible; give a number of mm, 0 or above")
    aligned = _on_grid(prediction, reference.geometry)
    pairs = _pairs(aligned.segments, reference.segments)
    if not pairs:
        warnings.warn("neither the prediction nor the reference has any label", Notice, stacklevel=2)
    return tuple(_score(aligned, reference, pair, tolerance_mm) for pair in pairs)


def mean_scores(scores: Sequence[LabelScores]) -> dict[str, float | None]:
    """Average each score over the segments that at least one side has voxels of.

    A segment that one side lacks counts, with overlap 0 and an infinite distance. A mean that is infinite, or of no
    segments, is None.
    """
    found = [s for s in scores if s.prediction_voxels or s.reference_voxels] or scores
    return {name: _finite(float(np.mean([getattr(s, name) for s in found]))) if found else None for name in _SCORES}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _measurable(prediction: Mask, reference: Mask, spacing: Sequence[float]) -> tuple[Mask, Mask, tuple[float, ...]]:
    if prediction.shape != reference.shape or prediction.ndim != len(spacing):
        raise ValueError(f"masks of shape {prediction.shape} and {reference.shape} with spacing {tuple(spacing)}")
    thin = [axis for axis, n in enumerate(prediction.shape) if n == 1][: max(prediction.ndim - 2, 0)]
    kept = tuple(float(s) for axis, s in enumerate(spacing) if axis not in thin)
    flat, wanted = np.squeeze(prediction, tuple(thin)), np.squeeze(reference, tuple(thin))
    box = _box(flat | wanted)
    return flat[box], wanted[box], kept


def _box(mask: Mask) -> tuple[slice, ...]:
    """The box of the mask and its neighbours, so that one voxel thickness means one voxel thickness of the image."""
    spans = []
    for axis in range(mask.ndim):
        hit = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        spans.append(slice(max(int(hit[0]) - 1, 0), int(hit[-1]) + 2) if hit.size else slice(0, 2))
    return tuple(spans)


def _nearest(points: Mask, others: Mask, spacing: Sequence[float]) -> Distances:
    """Distance from each point to the nearest of the others, in the order of `points`' indices."""
    distances = np.zeros(np.count_nonzero(points))
    apart = ~others[points]
    if not others.any():
        distances[:] = math.inf
    elif apart.any():
        # lattice points are sorted already, so the cheaper, unbalanced tree is as good
        tree = cKDTree(np.argwhere(others) * spacing, balanced_tree=False, compact_nodes=False)
        distances[apart] = tree.query(np.argwhere(points & ~others) * spacing)[0]
    return distances


def _surface_areas(mask: Mask, spacing: Sequence[float]) -> Distances:
    """Area of the surface element around each corner between voxels, shape one larger along each axis."""
    volume = mask.ndim == 3
    kernel = lookup_tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL if volume else lookup_tables.ENCODE_NEIGHBOURHOOD_2D_KERNEL
    table = (
        lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
        if volume
        else lookup_tables.create_table_neighbour_code_to_contour_length(spacing)
    )
    padded = np.pad(mask.view(np.uint8), 1)
    codes = np.zeros([n + 1 for n in mask.shape], np.uint8)
    for corner, weight in np.ndenumerate(kernel):
        codes += np.uint8(weight) * padded[tuple(slice(c, c + n) for c, n in zip(corner, codes.shape, strict=True))]
    return np.asarray(table[codes], dtype=np.float64)


def _score(prediction: Segmentation, reference: Segmentation, pair: Pair, tolerance_mm: float) -> LabelScores:
    grid = reference.geometry
    found, wanted = _masks((prediction, reference), pair)
    counts = [int(np.count_nonzero(mask)) for mask in (found, wanted)]
    ml = [n * grid.voxel_volume / 1000.0 if grid.dimension == 3 else math.nan for n in counts]
    spacing = grid.spacing[::-1]
    distances = surface_distances(found, wanted, spacing)
    return LabelScores(
        _name(pair), next(s.value for s in reversed(pair) if s),
        dice(found, wanted), iou(found, wanted), distances.average_hausdorff_mm, distances.hd95_mm,
        surface_dice(found, wanted, spacing, tolerance_mm), tolerance_mm, ml[0], ml[1], counts[0], counts[1],
    )  # fmt: skip


def _masks(sides: tuple[Segmentation, Segmentation], pair: Pair) -> tuple[Mask, Mask]:
    """Both masks, cropped to what they hold: a whole volume for each of a hundred labels takes too long."""
    shape = sides[1].geometry.shape
    found, wanted = (s.mask(m) if m else np.zeros(shape, bool) for s, m in zip(sides, pair, strict=True))
    box = _box(found | wanted)
    return found[box], wanted[box]


def _on_grid(prediction: Segmentation, grid: Geometry) -> Segmentation:
    """Bring the prediction onto the reference's grid by nearest neighbours, and say so."""
    if prediction.geometry.dimension != grid.dimension:
        dimensions = f"{prediction.geometry.dimension}D and the reference {grid.dimension}D"
        raise BadInput(f"the prediction is {dimensions}; give two of the same dimension")
    # closer than a hundredth of a voxel, the nearest voxel is always the same one
    if prediction.geometry.same_as(grid, 1e-2 * min(grid.spacing)):
        return prediction
    covered = _coverage(prediction.geometry, grid)
    if not covered:
        raise BadInput("the prediction and the reference do not overlap in space; are they of the same patient?")
    beyond = f", which it covers to {100 * covered:.0f} %" if covered < 1 else ""
    text = "the prediction lies on another grid; it was resampled to the reference's by nearest neighbours"
    warnings.warn(text + beyond, Notice, stacklevel=3)
    return Segmentation(resample(prediction.labels, grid, sitk.sitkNearestNeighbor), prediction.segments)


def _coverage(inner: Geometry, grid: Geometry) -> float:
    ones = inner.image(np.ones(inner.shape, np.uint8))
    covered = resample(ones, grid, sitk.sitkNearestNeighbor)
    return float(np.mean(sitk.GetArrayViewFromImage(covered)))


def _pairs(prediction: Sequence[Segment], reference: Sequence[Segment]) -> list[Pair]:
    key = _by_name if _numbered_apart(prediction, reference) else _by_value
    ours, theirs = ({key(s): s for s in segments} for segments in (prediction, reference))
    pairs = [(ours.get(k), theirs.get(k)) for k in [*theirs, *(k for k in ours if k not in theirs)]]
    for one, other in pairs:
        if one and other and _is_named(one) and _is_named(other) and _by_name(one) != _by_name(other):
            text = f"value {other.value} is {one.name!r} in the prediction and {other.name!r} in the reference"
            warnings.warn(f"{text}; they were compared as the same structure", Notice, stacklevel=3)
    return pairs


def _numbered_apart(prediction: Sequence[Segment], reference: Sequence[Segment]) -> bool:
    """Whether names tell structures apart on both sides, and one of them has different values."""
    if not all(_is_named(s) for s in (*prediction, *reference)):
        return False
    names = [Counter(_by_name(s) for s in segments) for segments in (prediction, reference)]
    if any(n > 1 for counter in names for n in counter.values()):
        return False
    value = {_by_name(s): _by_value(s) for s in reference}
    return any(value.get(_by_name(s), _by_value(s)) != _by_value(s) for s in prediction)


def _is_named(segment: Segment) -> bool:
    return segment.name.strip() not in ("", default_segments([segment.value])[0].name)


def _by_name(segment: Segment) -> Any:
    return segment.name.strip().casefold()


def _by_value(segment: Segment) -> Any:
    return segment.layer, segment.value


def _name(pair: Pair) -> str:
    known = [s for s in reversed(pair) if s]
    return next((s.name for s in known if _is_named(s)), known[0].name)
