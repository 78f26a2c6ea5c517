"""The smaller domain types: segmentation, uncertainty, registration, correction, progress, prompts, notices."""

import warnings
from datetime import UTC, datetime

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.correction import Change, CorrectionSession, Patch
from medseg.errors import Notice
from medseg.geometry import Geometry, cut
from medseg.notices import collected
from medseg.progress import Cancelled, Stopwatch, part, with_time_left
from medseg.prompt import Box
from medseg.registration import checkerboard, folding, jacobian_determinant, landmark_errors, warp
from medseg.segmentation import Segment, Segmentation, default_segments, label_values
from medseg.uncertainty import entropy, from_samples

GRID = Geometry((8, 6, 4), (1.0, 1.5, 2.0), (1.0, 2.0, 3.0), tuple(np.eye(3).ravel()))


def test_a_segment_is_found_by_name_measured_and_masked() -> None:
    voxels = np.zeros(GRID.shape, np.uint8)
    voxels[0, 0, :3] = 2
    segmentation = Segmentation(GRID.image(voxels), default_segments([2]))
    segment = segmentation.segment("Segment 2")
    assert segmentation.volume_ml(segment) == pytest.approx(3 * 3.0 / 1000)
    assert np.array_equal(segmentation.mask(segment), voxels == 2)
    assert label_values(segmentation.labels) == [2]
    with pytest.raises(KeyError, match="Segment 2"):
        segmentation.segment("Liver")


def test_segments_that_overlap_lie_in_layers() -> None:
    layers = np.zeros((*GRID.shape, 2), np.uint8)
    layers[0, 0, :3, 0] = 1
    layers[0, 0, 1:5, 1] = 1
    one, two = Segment(1, "a", (1, 0, 0), layer=0), Segment(1, "b", (0, 1, 0), layer=1)
    segmentation = Segmentation(GRID.image(layers), (one, two))
    assert segmentation.layers == 2
    assert segmentation.mask(one).sum() == 3
    assert segmentation.mask(two).sum() == 4
    assert (segmentation.mask(one) & segmentation.mask(two)).sum() == 2


def test_a_mask_outlives_the_segmentation_it_came_from() -> None:
    voxels = np.ones(GRID.shape, np.uint8)
    mask = Segmentation(GRID.image(voxels), default_segments([1])).mask(default_segments([1])[0])
    sitk.GetArrayFromImage(GRID.image(np.zeros(GRID.shape, np.uint8)))  # would reuse freed memory
    assert mask.all()


def test_entropy_is_zero_for_certainty_and_log_of_the_classes_for_ignorance() -> None:
    assert entropy(np.array([[1.0], [0.0], [0.0]]))[0] == 0
    assert entropy(np.full((3, 1), 1 / 3))[0] == pytest.approx(np.log(3), rel=1e-6)
    assert entropy(np.array([[0.2], [0.8]]))[0] == pytest.approx(-0.2 * np.log(0.2) - 0.8 * np.log(0.8), rel=1e-6)


def test_samples_that_contradict_each_other_with_certainty_are_pure_mutual_information() -> None:
    certain = np.zeros((2, *GRID.shape))
    certain[0] = 1
    unsure = from_samples([certain, certain[::-1]], GRID)
    assert np.allclose(sitk.GetArrayFromImage(unsure.predictive_entropy), np.log(2))
    assert np.allclose(sitk.GetArrayFromImage(unsure.expected_entropy), 0)
    assert np.allclose(sitk.GetArrayFromImage(unsure.mutual_information), np.log(2))
    same = from_samples([np.full((2, *GRID.shape), 0.5)] * 3, GRID)
    assert np.allclose(sitk.GetArrayFromImage(same.mutual_information), 0, atol=1e-6)
    with pytest.raises(ValueError, match="at least one"):
        from_samples([], GRID)


def test_the_running_average_equals_the_average_of_all_samples() -> None:
    random = np.random.default_rng(3)
    samples = random.dirichlet([1, 1, 1], (5, *GRID.shape)).transpose(0, 4, 1, 2, 3)
    maps = from_samples(iter(samples), GRID)
    assert np.allclose(sitk.GetArrayFromImage(maps.predictive_entropy), entropy(samples.mean(0)), atol=1e-6)
    expected = np.mean([entropy(sample) for sample in samples], axis=0)
    assert np.allclose(sitk.GetArrayFromImage(maps.expected_entropy), expected, atol=1e-6)


def test_a_checkerboard_has_tiles_of_the_size_asked_for() -> None:
    zeros, ones = (GRID.image(np.full(GRID.shape, v, np.int16)) for v in (0, 1))
    board = sitk.GetArrayFromImage(checkerboard(zeros, ones, 3.0))
    assert board[0, 0].tolist() == [0, 0, 0, 1, 1, 1, 0, 0]
    assert board[0, :, 0].tolist() == [0, 0, 1, 1, 0, 0]
    assert board[:, 0, 0].tolist() == [0, 0, 1, 0]
    with pytest.raises(ValueError, match="tile"):
        checkerboard(zeros, ones, 0)


def test_warping_follows_the_transform_and_landmarks_measure_it() -> None:
    values = np.arange(8.0)[None, None] + np.zeros(GRID.shape)
    shift = sitk.TranslationTransform(3, (2.0, 0.0, 0.0))
    warped = sitk.GetArrayFromImage(warp(GRID.image(values), shift, GRID))
    assert np.allclose(warped[..., :6], values[..., 2:])
    errors = landmark_errors(shift, [(0, 0, 0), (1, 1, 1)], [(2, 0, 0), (3, 1, 5)])
    assert errors.tolist() == [0.0, 4.0]
    with pytest.raises(ValueError, match="zip"):
        landmark_errors(shift, [(0, 0, 0)], [])


def test_folding_counts_voxels_whose_volume_is_not_positive() -> None:
    double = sitk.AffineTransform(3)
    double.Scale(2.0)
    assert np.allclose(sitk.GetArrayFromImage(jacobian_determinant(double, GRID)), 8, atol=1e-4)
    assert folding(jacobian_determinant(double, GRID)).non_positive_percent == 0
    mirror = sitk.AffineTransform([-1, 0, 0, 0, 1, 0, 0, 0, 1], [0, 0, 0])
    assert folding(jacobian_determinant(mirror, GRID)).non_positive_percent == 100


@pytest.mark.parametrize(
    "direction",
    [
        (1, 0, 0, 0, 1, 0, 0, 0, 1),
        (-1, 0, 0, 0, -1, 0, 0, 0, 1),
        (0, 0, 1, 1, 0, 0, 0, 1, 0),
        (0.6, -0.8, 0, 0.8, 0.6, 0, 0, 0, 1),
    ],
)
def test_volume_change_does_not_depend_on_which_way_the_grid_lies(direction: tuple[float, ...]) -> None:
    grid = Geometry((7, 6, 5), (2.0, 1.5, 1.0), (3.0, -4.0, 5.0), direction)
    matrix = np.array([[1.3, 0.4, 0.0], [-0.2, 0.8, 0.3], [0.1, 0.0, 1.6]])
    bent = sitk.AffineTransform(matrix.ravel().tolist(), [1.0, 2.0, 3.0])
    determinant = jacobian_determinant(bent, grid)
    assert np.allclose(sitk.GetArrayFromImage(determinant), np.linalg.det(matrix), atol=1e-4)
    assert Geometry.of(determinant).same_as(grid)


def test_a_correction_is_the_smallest_patch_and_can_be_taken_back() -> None:
    before = GRID.image(np.zeros(GRID.shape, np.uint8))
    voxels = np.zeros(GRID.shape, np.uint8)
    voxels[1:3, 2, 4:7] = 1
    patch = Patch.between(before, GRID.image(voxels))
    assert patch is not None
    assert patch.after.GetSize() == (3, 1, 2)
    assert patch.after.GetOrigin() == pytest.approx(GRID.point((4, 2, 1)))
    session = CorrectionSession(Segmentation(before, default_segments([1])))
    session.record(Change(patch, "reader", datetime.now(UTC)))
    assert np.array_equal(sitk.GetArrayFromImage(session.segmentation.labels), voxels)
    session.record(Change(patch.reversed, "reader", datetime.now(UTC)))
    assert not sitk.GetArrayFromImage(session.segmentation.labels).any()
    assert len(session.log) == 2
    assert Patch.between(before, before) is None


def test_a_patch_made_on_older_voxels_is_refused() -> None:
    labels = GRID.image(np.ones(GRID.shape, np.uint8))
    crop = cut(labels, (0, 0, 0), (2, 2, 2))
    session = CorrectionSession(Segmentation(labels, default_segments([1])))
    with pytest.raises(ValueError, match="have changed"):
        session.record(Change(Patch(crop * 0, crop), "reader", datetime.now(UTC)))
    assert session.log == ()
    with pytest.raises(ValueError, match="same grid"):
        Patch(crop, cut(labels, (1, 0, 0), (2, 2, 2)))


def test_a_part_of_the_work_reports_its_share_and_the_time_left() -> None:
    told: list[tuple[float, str]] = []
    times = iter([0.0, 0.1, 10.0, 20.0])
    report = part(with_time_left(lambda f, m: told.append((f, m)), lambda: next(times)), 0.0, 0.5)
    for fraction in (0.1, 0.5, 2.0):
        report(fraction, "window")
    assert told == [(0.05, "window"), (0.25, "window, 30 s left"), (1.0, "window")]


def test_cancelling_is_not_swallowed_by_libraries_that_catch_exceptions() -> None:
    assert not issubclass(Cancelled, Exception)


def test_a_stopwatch_adds_up_the_times_of_a_step() -> None:
    times = iter([0.0, 1.0, 5.0, 7.0])
    watch = Stopwatch(lambda: next(times))
    for _ in range(2):
        with watch.step("read"):
            pass
    assert watch.seconds == {"read": 3.0}


def test_notices_are_collected_once_and_other_warnings_go_their_way() -> None:
    told: list[str] = []
    with warnings.catch_warnings(record=True) as others:
        warnings.simplefilter("always")
        with collected(told.append) as notices:
            for _ in range(2):
                warnings.warn("resampled", Notice, stacklevel=1)
            warnings.warn("something else", UserWarning, stacklevel=1)
    assert notices == told == ["resampled"]
    with pytest.warns(Notice, match="resampled"), collected(repeat=True):
        warnings.warn("resampled", Notice, stacklevel=1)
    assert [str(w.message) for w in others] == ["something else"]


def test_a_box_with_its_corners_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ValueError, match="wrong way round"):
        Box((1, 0, 0), (0, 1, 1))
