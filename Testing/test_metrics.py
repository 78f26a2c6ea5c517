import json
import math
import time

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_iou, compute_surface_dice
from scipy.spatial.distance import cdist
from surface_distance import compute_surface_dice_at_tolerance, compute_surface_distances

from medseg.errors import BadInput, Notice
from medseg.geometry import Geometry
from medseg.metrics import dice, evaluate, iou, mean_scores, surface_dice, surface_distances
from medseg.segmentation import PALETTE, Segment, Segmentation, default_segments, label_values

# the libraries compared with use names that their own dependencies will drop
pytestmark = [
    pytest.mark.filterwarnings("ignore:Please import .* from the `scipy.ndimage` namespace:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:monai.metrics:FutureWarning"),
]
SPACING = (2.5, 0.7, 1.1)
IDENTITY = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)


def ellipsoid(shape, center, radii):
    axes = np.indices(shape)
    parts = zip(axes, center, radii, strict=True)
    return sum(((axis - c) / r) ** 2 for axis, c, r in parts) <= 1


def two_ellipsoids():
    shape = (14, 30, 26)
    return ellipsoid(shape, (6, 14, 12), (4, 9, 8)), ellipsoid(shape, (7, 12, 13), (5, 10, 7))


def random_masks(seed, shape=(7, 9, 8)):
    generator = np.random.default_rng(seed)
    return generator.random(shape) < 0.3, generator.random(shape) < 0.2


def surface_voxels(mask):
    """Every voxel of which one neighbour across a face is background or outside, one by one."""
    points = []
    for index in np.argwhere(mask):
        for axis in range(mask.ndim):
            for step in (-1, 1):
                beside = index.copy()
                beside[axis] += step
                inside = all(0 <= i < n for i, n in zip(beside, mask.shape, strict=True))
                if not inside or not mask[tuple(beside)]:
                    points.append(tuple(index))
    return np.array(sorted(set(points)))


def brute_force(prediction, reference, spacing):
    table = cdist(surface_voxels(prediction) * spacing, surface_voxels(reference) * spacing)
    forth, back = table.min(axis=1), table.min(axis=0)
    average = (forth.mean() + back.mean()) / 2
    return average, max(np.percentile(forth, 95), np.percentile(back, 95))


def one_hot(mask):
    return torch.from_numpy(np.stack([~mask, mask])[None].astype(np.float32))


def volume(array, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), direction=IDENTITY):
    return Geometry(array.shape[::-1], spacing, origin, direction).image(array.astype(np.uint8))


def label_map(array, **grid):
    labels = volume(np.asarray(array), **grid)
    return Segmentation(labels, default_segments(label_values(labels)))


def named(array, names, **grid):
    segments = [Segment(value, name, PALETTE[0]) for value, name in names.items()]
    return Segmentation(volume(np.asarray(array), **grid), tuple(segments))


def blocks(**corners):
    """A 12 x 12 x 12 array in which value n fills a cube of 3 voxels at the given corner."""
    array = np.zeros((12, 12, 12), np.uint8)
    for key, (k, j, i) in corners.items():
        array[k : k + 3, j : j + 3, i : i + 3] = int(key.removeprefix("v"))
    return array


@pytest.mark.parametrize("seed", range(4))
def test_surface_distances_equal_a_brute_force_over_all_pairs(seed):
    prediction, reference = random_masks(seed)
    average, hd95 = brute_force(prediction, reference, SPACING)
    measured = surface_distances(prediction, reference, SPACING)
    assert measured.average_hausdorff_mm == pytest.approx(average, abs=1e-9)
    assert measured.hd95_mm == pytest.approx(hd95, abs=1e-9)


def test_distances_of_flat_masks_equal_a_brute_force():
    prediction, reference = random_masks(5, (11, 13))
    average, hd95 = brute_force(prediction, reference, (0.5, 2.0))
    measured = surface_distances(prediction, reference, (0.5, 2.0))
    assert (measured.average_hausdorff_mm, measured.hd95_mm) == pytest.approx((average, hd95), abs=1e-9)


def test_overlap_and_distance_equal_monai():
    prediction, reference = two_ellipsoids()
    ours, theirs = one_hot(prediction), one_hot(reference)
    assert dice(prediction, reference) == pytest.approx(float(compute_dice(ours, theirs)[0, 1]), abs=1e-6)
    assert iou(prediction, reference) == pytest.approx(float(compute_iou(ours, theirs)[0, 1]), abs=1e-6)
    hd95 = float(compute_hausdorff_distance(ours, theirs, percentile=95, spacing=SPACING)[0, 0])
    assert surface_distances(prediction, reference, SPACING).hd95_mm == pytest.approx(hd95, abs=1e-5)


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 2.6])
def test_surface_dice_equals_monai_and_the_authors_own(tolerance):
    prediction, reference = two_ellipsoids()
    ours = surface_dice(prediction, reference, SPACING, tolerance)
    monai = compute_surface_dice(
        one_hot(prediction), one_hot(reference), [tolerance], spacing=SPACING, use_subvoxels=True
    )
    assert ours == pytest.approx(float(monai[0, 0]), abs=1e-5)
    distances = compute_surface_distances(reference, prediction, SPACING)
    assert ours == pytest.approx(compute_surface_dice_at_tolerance(distances, tolerance), abs=1e-9)


def test_surface_dice_of_flat_masks_equals_the_authors_own():
    prediction, reference = random_masks(3, (15, 12))
    distances = compute_surface_distances(reference, prediction, (0.5, 2.0))
    theirs = compute_surface_dice_at_tolerance(distances, 0.6)
    assert surface_dice(prediction, reference, (0.5, 2.0), 0.6) == pytest.approx(theirs, abs=1e-9)


def test_a_tolerance_of_one_voxel_forgives_one_voxel_of_float32_spacing():
    reference = ellipsoid((3, 12, 12), (1, 6, 6), (5, 4, 4))
    spacing = [float(np.float32(s)) for s in (3.0, 1.1, 1.1)]
    assert surface_dice(np.roll(reference, 1, axis=2), reference, spacing, 1.1) == 1.0


def test_shifting_a_cube_by_three_voxels_moves_it_by_three_times_the_spacing():
    reference = np.zeros((1, 40, 40), bool)
    reference[0, 10:20, 10] = True
    measured = surface_distances(np.roll(reference, 3, axis=2), reference, SPACING)
    assert measured.average_hausdorff_mm == pytest.approx(3 * 1.1)
    assert measured.hd95_mm == pytest.approx(3 * 1.1)


@given(arrays.arrays(bool, (2, 4, 5, 3)))
@settings(max_examples=60, deadline=None)
def test_scores_are_symmetric_and_bounded(pair):
    one, other = pair
    for score in (dice, iou):
        assert 0 <= score(one, other) == score(other, one) <= 1
    near = surface_dice(one, other, SPACING, 1.0)
    assert 0 <= near <= 1
    assert near == pytest.approx(surface_dice(other, one, SPACING, 1.0))
    forth, back = surface_distances(one, other, SPACING), surface_distances(other, one, SPACING)
    assert forth.average_hausdorff_mm == pytest.approx(back.average_hausdorff_mm)
    assert 0 <= forth.hd95_mm == back.hd95_mm
    assert dice(one, other) == pytest.approx(2 * iou(one, other) / (1 + iou(one, other)))


@given(arrays.arrays(bool, (4, 5, 3)))
@settings(max_examples=30, deadline=None)
def test_a_mask_agrees_completely_with_itself(mask):
    distances = surface_distances(mask, mask, SPACING)
    assert dice(mask, mask) == iou(mask, mask) == surface_dice(mask, mask, SPACING, 0.0) == 1
    assert distances.average_hausdorff_mm == distances.hd95_mm == 0


@given(st.floats(0, 5), st.floats(0, 5), st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_surface_dice_grows_with_the_tolerance(one, other, seed):
    masks = random_masks(seed, (4, 6, 5))
    low, high = sorted((one, other))
    assert surface_dice(*masks, SPACING, low) <= surface_dice(*masks, SPACING, high) + 1e-12


def test_only_one_empty_mask_is_infinitely_far_and_never_overlaps():
    mask, nothing = ellipsoid((6, 6, 6), (3, 3, 3), (2, 2, 2)), np.zeros((6, 6, 6), bool)
    for pair in ((mask, nothing), (nothing, mask)):
        assert dice(*pair) == iou(*pair) == surface_dice(*pair, SPACING, 100.0) == 0
        assert surface_distances(*pair, SPACING).average_hausdorff_mm == math.inf
        assert surface_distances(*pair, SPACING).hd95_mm == math.inf


def test_the_cut_face_of_a_mask_at_the_border_is_surface():
    whole = np.ones((5, 5, 5), bool)
    core = np.zeros_like(whole)
    core[1:4, 1:4, 1:4] = True
    assert surface_distances(whole, core, (1, 1, 1)).hd95_mm > 0
    assert surface_dice(whole, core, (1, 1, 1), 0.0) == 0.0


def test_a_volume_of_one_slice_is_measured_as_a_picture():
    prediction, reference = random_masks(8, (12, 10))
    flat = surface_distances(prediction, reference, (0.7, 1.1))
    thick = surface_distances(prediction[:, None], reference[:, None], (0.7, 5.0, 1.1))
    assert thick.average_hausdorff_mm == flat.average_hausdorff_mm
    assert surface_dice(prediction[None], reference[None], (5.0, 0.7, 1.1), 0.8) == pytest.approx(
        surface_dice(prediction, reference, (0.7, 1.1), 0.8)
    )


def test_a_flat_mask_inside_a_volume_keeps_its_two_faces():
    sheet = np.zeros((5, 6, 6), bool)
    sheet[2, 1:5, 1:5] = True
    assert surface_distances(sheet, np.roll(sheet, 1, axis=0), (3.0, 1, 1)).hd95_mm == 3.0
    assert surface_dice(sheet, np.roll(sheet, 1, axis=0), (3.0, 1, 1), 1.0) < 1


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_flat_segment_is_measured_as_a_part_of_its_volume(place):
    sheet = np.zeros((5, 6, 6), bool)
    sheet[place, 1:5, 1:4] = True
    (score,) = evaluate(label_map(sheet), label_map(np.roll(sheet, 1, axis=2)), 0.5)
    assert score.nsd == pytest.approx(surface_dice(sheet, np.roll(sheet, 1, axis=2), (1, 1, 1), 0.5))


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 5)])
def test_masks_that_do_not_fit_each_other_or_the_spacing_are_refused(shape):
    with pytest.raises(ValueError, match="spacing"):
        surface_distances(np.ones(shape, bool), np.ones((4, 4), bool), SPACING)


def test_evaluate_scores_each_label_with_volumes_in_ml():
    prediction = label_map(blocks(v1=(0, 0, 0), v3=(6, 6, 6)), spacing=(1.1, 0.7, 2.5))
    reference = label_map(blocks(v1=(0, 0, 1), v3=(6, 6, 6)), spacing=(1.1, 0.7, 2.5))
    first, second = evaluate(prediction, reference)
    assert (first.name, first.value, second.value) == ("Segment 1", 1, 3)
    assert first.dice == pytest.approx(2 / 3)
    assert first.iou == pytest.approx(1 / 2)
    assert first.average_hausdorff_mm == pytest.approx(
        brute_force(prediction.mask(prediction.segments[0]), reference.mask(reference.segments[0]), SPACING)[0]
    )
    assert first.prediction_ml == first.reference_ml == pytest.approx(27 * 1.1 * 0.7 * 2.5 / 1000)
    assert (second.dice, second.hd95_mm, second.nsd, second.nsd_tolerance_mm) == (1, 0, 1, 1.0)


def test_a_label_on_one_side_only_is_reported():
    prediction = label_map(blocks(v1=(0, 0, 0), v2=(6, 6, 6)))
    reference = label_map(blocks(v1=(0, 0, 0), v4=(6, 6, 6)))
    scores = {s.value: s for s in evaluate(prediction, reference)}
    assert sorted(scores) == [1, 2, 4]
    assert (scores[2].dice, scores[2].prediction_voxels, scores[2].reference_voxels) == (0, 27, 0)
    assert (scores[4].dice, scores[4].prediction_voxels, scores[4].reference_voxels) == (0, 0, 27)


def test_infinite_distances_are_null_in_json():
    (score,) = evaluate(label_map(np.zeros((4, 4, 4))), label_map(np.ones((4, 4, 4))))
    data = json.loads(json.dumps(score.as_json(), allow_nan=False))
    assert data["hd95_mm"] is data["average_hausdorff_mm"] is None
    assert (data["dice"], data["iou"], data["nsd"]) == (0, 0, 0)
    assert data["volumes"] == {
        "prediction_ml": 0, "reference_ml": 0.064, "prediction_voxels": 0, "reference_voxels": 64
    }  # fmt: skip


def test_a_segment_that_both_know_and_neither_has_agrees():
    nothing = named(np.zeros((4, 4, 4)), {1: "Lesion"})
    (score,) = evaluate(nothing, nothing)
    assert (score.dice, score.iou, score.nsd, score.hd95_mm, score.average_hausdorff_mm) == (1, 1, 1, 0, 0)


def test_two_segmentations_without_labels_have_no_scores_and_say_so():
    nothing = label_map(np.zeros((4, 4, 4)))
    with pytest.warns(Notice, match="any label"):
        assert evaluate(nothing, nothing) == ()
    assert mean_scores(()) == dict.fromkeys(("dice", "iou", "average_hausdorff_mm", "hd95_mm", "nsd"))


def test_pictures_have_counts_but_no_volume():
    picture = np.zeros((8, 9), np.uint8)
    picture[2:5, 3:6] = 1
    image = sitk.GetImageFromArray(picture)
    (score,) = evaluate(*[Segmentation(image, default_segments([1]))] * 2)
    assert (score.dice, score.prediction_voxels, score.as_json()["volumes"]["prediction_ml"]) == (1, 9, None)


def test_structures_numbered_apart_are_paired_by_name():
    prediction = named(blocks(v1=(0, 0, 0), v2=(6, 6, 6)), {1: "Liver", 2: "Spleen"})
    reference = named(blocks(v2=(0, 0, 0), v1=(6, 6, 6), v7=(0, 8, 0)), {1: "spleen ", 2: "Liver", 7: "Kidney"})
    scores = {s.name.strip(): s for s in evaluate(prediction, reference)}
    assert (scores["Liver"].dice, scores["Liver"].value, scores["spleen"].dice) == (1, 2, 1)
    assert (scores["Kidney"].dice, scores["Kidney"].prediction_voxels) == (0, 0)


def test_a_name_for_a_nameless_value_is_kept():
    prediction = named(blocks(v1=(0, 0, 0)), {1: "Brain"})
    (score,) = evaluate(prediction, label_map(blocks(v1=(0, 0, 0))))
    assert (score.name, score.dice) == ("Brain", 1)


def test_two_names_for_one_value_are_compared_and_said():
    prediction, reference = named(blocks(v1=(0, 0, 0)), {1: "Brain"}), named(blocks(v1=(0, 0, 0)), {1: "Cerebrum"})
    with pytest.warns(Notice, match="'Brain' in the prediction and 'Cerebrum' in the reference"):
        (score,) = evaluate(prediction, reference)
    assert (score.name, score.dice) == ("Cerebrum", 1)


def test_a_name_used_twice_cannot_pair_segments():
    prediction = named(blocks(v1=(0, 0, 0), v2=(6, 6, 6)), {1: "Nodule", 2: "Nodule"})
    reference = named(blocks(v1=(0, 0, 0), v2=(6, 6, 6), v3=(0, 8, 0)), {1: "Nodule", 2: "Nodule", 3: "Nodule"})
    assert [s.dice for s in evaluate(prediction, reference)] == [1, 1, 0]


def test_overlapping_segments_are_measured_in_their_own_layers():
    one, two = blocks(v1=(0, 0, 0)), blocks(v1=(1, 1, 1))
    stack = Geometry((12, 12, 12), (1.0, 1, 1), (0.0, 0, 0), IDENTITY).image(np.stack([one, two], axis=-1))
    organ, tumour = Segment(1, "Organ", PALETTE[0]), Segment(1, "Tumour", PALETTE[1], layer=1)
    scores = evaluate(Segmentation(stack, (organ, tumour)), named(two * 2, {2: "Tumour"}))
    assert {s.name: s.dice for s in scores} == {"Tumour": 1.0, "Organ": 0.0}


def test_layers_keep_equal_values_apart():
    layers = np.stack([blocks(v1=(0, 0, 0)), blocks(v1=(1, 1, 1))], axis=-1)
    stack = Geometry((12, 12, 12), (1.0, 1, 1), (0.0, 0, 0), IDENTITY).image(layers)
    segments = Segment(1, "Organ", PALETTE[0]), Segment(1, "Tumour", PALETTE[1], layer=1)
    scores = evaluate(Segmentation(stack, segments), Segmentation(stack, segments))
    assert [(s.name, s.dice) for s in scores] == [("Organ", 1), ("Tumour", 1)]


def test_resampling_never_mixes_labels():
    array = blocks(v1=(3, 3, 3), v3=(3, 3, 6))
    with pytest.warns(Notice, match="resampled"):
        scores = evaluate(label_map(array), label_map(array, origin=(0.3, 0.0, 0.0)))
    assert [(s.value, s.dice, s.prediction_voxels) for s in scores] == [(1, 1, 27), (3, 1, 27)]


def test_a_prediction_on_another_grid_is_resampled_to_the_reference_and_said():
    array = blocks(v1=(3, 3, 3), v2=(6, 6, 6))
    reference = label_map(array, spacing=(2.0, 2.0, 2.0), origin=(0.5, 0.5, 0.5))
    fine = array.repeat(2, 0).repeat(2, 1).repeat(2, 2)[:, :, ::-1]
    flipped = (-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
    prediction = label_map(fine, origin=(23.0, 0.0, 0.0), direction=flipped)
    with pytest.warns(Notice, match="resampled to the reference's by nearest neighbours$"):
        scores = evaluate(prediction, reference)
    assert [s.dice for s in scores] == [1, 1]
    assert scores[0].prediction_voxels == 27


def test_how_much_of_the_reference_is_covered_is_said():
    reference = label_map(blocks(v1=(1, 1, 1)))
    prediction = label_map(blocks(v1=(1, 1, 1))[:, :, :6])
    with pytest.warns(Notice, match="covers to 50 %"):
        assert evaluate(prediction, reference)[0].dice == 1


def test_images_of_different_places_are_refused():
    prediction = label_map(blocks(v1=(0, 0, 0)), origin=(500.0, 0, 0))
    with pytest.raises(BadInput, match="do not overlap in space"):
        evaluate(prediction, label_map(blocks(v1=(0, 0, 0))))


def test_a_picture_and_a_volume_are_refused():
    picture = Segmentation(sitk.GetImageFromArray(np.ones((4, 4), np.uint8)), default_segments([1]))
    with pytest.raises(BadInput, match="2D and the reference 3D"):
        evaluate(picture, label_map(blocks(v1=(0, 0, 0))))


@pytest.mark.parametrize("tolerance", [-1.0, math.nan, math.inf])
def test_a_tolerance_that_is_no_distance_is_refused(tolerance):
    with pytest.raises(BadInput, match="tolerance"):
        evaluate(label_map(blocks(v1=(0, 0, 0))), label_map(blocks(v1=(0, 0, 0))), tolerance)


def test_means_leave_out_segments_that_nobody_has_and_count_missed_ones():
    names = {1: "Liver", 2: "Spleen", 3: "Tumour"}
    prediction, reference = named(blocks(v1=(0, 0, 0)), names), named(blocks(v1=(0, 0, 0), v2=(6, 6, 6)), names)
    mean = mean_scores(evaluate(prediction, reference))
    assert (mean["dice"], mean["iou"], mean["nsd"], mean["hd95_mm"]) == (0.5, 0.5, 0.5, None)


def test_large_masks_take_seconds():
    shape = (200, 256, 256)
    prediction = label_map(ellipsoid(shape, (100, 128, 128), (95, 110, 110)))
    reference = label_map(ellipsoid(shape, (102, 125, 128), (94, 108, 110)))
    began = time.perf_counter()
    (score,) = evaluate(prediction, reference)
    assert time.perf_counter() - began < 20  # measured: 1.2 s
    assert score.dice > 0.9
