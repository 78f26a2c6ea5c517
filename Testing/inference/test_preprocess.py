"""From the input grid to the network's and back."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medseg.errors import BadInput
from medseg.geometry import Geometry, resample
from medseg.inference.postprocess import clean, largest, restore
from medseg.inference.preprocess import prepare
from medseg.model_card import Crop, ModelCard, Postprocessing, Preprocessing
from medseg.segmentation import default_segments

OBLIQUE = Geometry(
    (12, 10, 8),
    (1.0, 1.5, 2.0),
    (-20.0, 5.0, 40.0),
    tuple(np.array([[0.0, -0.96, 0.28], [1.0, 0.0, 0.0], [0.0, 0.28, 0.96]]).ravel()),  # left-handed or not, no matter
)


def positions(grid: Geometry) -> np.ndarray:
    """LPS mm of every voxel, shape (k, j, i, 3)."""
    indices = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)[..., ::-1]
    return indices @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def ramp(grid: Geometry) -> sitk.Image:
    """An image whose value tells where it is."""
    return grid.image((positions(grid) @ [1.0, 10.0, 100.0]).astype(np.float32))


def card(**changes: object) -> ModelCard:
    fixed = {"version": "1", "title": "t", "description": "d", "engine": "network", "license": "MIT", "source": "s"}
    return ModelCard(
        name="n", intended_use="u", inputs=(), segments=default_segments([1, 2]), weights=(), **fixed, **changes
    )


def test_turning_is_an_exact_copy_with_axes_as_the_network_wants_them() -> None:
    prepared = prepare([ramp(OBLIQUE)], Preprocessing(orientation="RAS"))
    assert prepared.grid.same_as(OBLIQUE.oriented("RAS"))
    expected = (positions(prepared.grid) @ [1.0, 10.0, 100.0]).T
    assert prepared.voxels.shape == (1, *prepared.grid.size)
    assert np.allclose(prepared.voxels[0], expected, atol=1e-3)


@pytest.mark.parametrize("how", [Preprocessing(spacing=(1.2, 1.2, 1.2)), Preprocessing(size=(20, 7, 9))])
def test_resampling_keeps_every_place(how: Preprocessing) -> None:
    prepared = prepare([ramp(OBLIQUE)], how)
    expected = (positions(prepared.grid) @ [1.0, 10.0, 100.0]).T
    inner = (slice(3, -3),) * 3
    assert np.allclose(prepared.voxels[0][inner], expected[inner], atol=1e-2)


def test_no_voxel_of_another_spacing_lies_beyond_the_edge() -> None:
    image = OBLIQUE.image(np.full(OBLIQUE.shape, -1000.0, np.float32))
    for spacing in (0.7, 1.9, 3.3, 7.0, 11.0):
        prepared = prepare([image], Preprocessing(spacing=(spacing,) * 3))
        assert np.allclose(prepared.voxels, -1000), "air, not the 0 that ITK would put there"


def test_ties_between_two_nearest_voxels_break_as_they_do_for_the_network() -> None:
    grid = Geometry((8, 6, 4), (1.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel()))
    voxels = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    prepared = prepare([grid.image(voxels)], Preprocessing(orientation="RAS", size=(4, 3, 2), interpolation="nearest"))
    turned = torch.from_numpy(np.ascontiguousarray(voxels.T[::-1, ::-1]))[None, None]
    theirs = torch.nn.functional.interpolate(turned, (4, 3, 2), mode="nearest-exact")[0, 0]
    assert np.array_equal(prepared.voxels[0], theirs.numpy())


def test_the_foreground_is_cut_out_with_its_margin() -> None:
    voxels = np.zeros(OBLIQUE.shape, np.float32)
    voxels[3:5, 4:6, 5:8] = 9
    how = Preprocessing(crop=Crop("foreground", threshold=1.0, margin_mm=2.0))
    prepared = prepare([OBLIQUE.image(voxels)], how)
    assert prepared.grid.size == (7, 6, 4)  # 3 + 2 * 2 mm / 1 mm; 2 + 2 * ceil(2 / 1.5); 2 + 2 * 2 / 2
    assert (prepared.voxels == 9).sum() == 12
    with pytest.raises(BadInput, match="nothing of the structure was found"):
        prepare([OBLIQUE.image(voxels)], Preprocessing(crop=Crop("foreground", threshold=10.0)))


def test_a_coarse_network_finds_the_box() -> None:
    grid = Geometry((40, 40, 40), (1.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel()))
    voxels = np.zeros(grid.shape, np.float32)
    voxels[8:24, 12:28, 16:32] = 1
    how = Preprocessing(crop=Crop("network", threshold=0.02, margin=0.25, size=(20, 20, 20)))
    prepared = prepare([grid.image(voxels)], how, lambda coarse: coarse[0] > 0.5)
    assert prepared.grid.size == (24, 24, 24), "16 voxels grown by a quarter on each side"
    assert prepared.grid.origin == (12.0, 8.0, 4.0)
    with pytest.raises(BadInput, match="coarse"):
        prepare([grid.image(voxels)], how)
    with pytest.raises(BadInput, match="nothing of the structure"):
        prepare([grid.image(voxels)], how, lambda coarse: coarse[0] > 5)


def test_percentiles_are_those_of_the_whole_image_whatever_is_cut_out() -> None:
    voxels = np.arange(960, dtype=np.float32).reshape(OBLIQUE.shape)
    how = Preprocessing(intensity=({"clip_percentiles": [10, 90]},), crop=Crop("foreground", threshold=800.0))
    prepared = prepare([OBLIQUE.image(voxels)], how)
    low, high = np.percentile(voxels, [10, 90])
    assert prepared.grid.size[2] < OBLIQUE.size[2]
    assert prepared.voxels.min() == pytest.approx((720 - low) / (high - low), abs=1e-4)
    assert prepared.voxels.max() == 1


def test_intensity_steps_run_in_order() -> None:
    voxels = np.random.default_rng(0).normal(50, 9, OBLIQUE.shape).astype(np.float32)
    voxels[0] = 0
    zscored = prepare([OBLIQUE.image(voxels)], Preprocessing(intensity=({"zscore": "all"}, {"scale": 2}, {"shift": 1})))
    assert zscored.voxels.mean() == pytest.approx(1, abs=1e-4)
    assert zscored.voxels.std() == pytest.approx(2, abs=1e-4)
    inside = prepare([OBLIQUE.image(voxels)], Preprocessing(intensity=({"zscore": "nonzero"},))).voxels
    assert inside[inside != 0].mean() == pytest.approx(0, abs=1e-4)
    assert (inside[..., 0] == 0).all()
    window = prepare([OBLIQUE.image(voxels)], Preprocessing(intensity=({"window": [40, 60]},))).voxels
    assert np.allclose(window[0], np.clip((voxels.T - 40) / 20, 0, 1), atol=1e-6)


def test_a_constant_image_is_not_divided_by_nothing() -> None:
    flat = OBLIQUE.image(np.full(OBLIQUE.shape, 7, np.float32))
    for step in ({"zscore": "all"}, {"clip_percentiles": [1, 99]}, {"zscore": "nonzero"}):
        assert np.isfinite(prepare([flat], Preprocessing(intensity=(step,))).voxels).all()


@pytest.mark.parametrize("letters", ["RAS", "LPI", "ASL"])
def test_labels_come_back_onto_the_very_voxels_they_came_from(letters: str) -> None:
    truth = np.random.default_rng(1).integers(0, 3, OBLIQUE.shape).astype(np.uint8)
    turned = resample(OBLIQUE.image(truth), OBLIQUE.oriented(letters), sitk.sitkNearestNeighbor)
    found = restore(sitk.GetArrayFromImage(turned).T, OBLIQUE.oriented(letters), OBLIQUE, card())
    assert np.array_equal(sitk.GetArrayFromImage(found.labels), truth)
    assert found.geometry.same_as(OBLIQUE)


def test_a_ball_comes_back_from_another_spacing_round_and_in_place() -> None:
    fine = Geometry((60, 60, 60), (1.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel()))
    coarse = fine.respaced((2.5, 2.5, 2.5))
    centre, radius = np.array([30.0, 28.0, 31.0]), 20.0
    inside = np.linalg.norm(positions(coarse) - centre, axis=-1) < radius
    found = restore(inside.T.astype(np.uint8), coarse, fine, card())
    mask = sitk.GetArrayFromImage(found.labels) == 1
    truth = np.linalg.norm(positions(fine) - centre, axis=-1) < radius
    nearest = resample(coarse.image(inside), fine, sitk.sitkNearestNeighbor)

    def dice(one: np.ndarray) -> float:
        return float(2 * (one & truth).sum() / (one.sum() + truth.sum()))

    assert dice(mask) > 0.96
    assert dice(mask) > dice(sitk.GetArrayFromImage(nearest) == 1), "smoother than the nearest voxel"


def test_classes_without_a_segment_are_blanked_and_layers_kept_apart() -> None:
    labels = np.zeros(OBLIQUE.size, np.uint8)
    labels[0, 0, 0], labels[1, 0, 0], labels[2, 0, 0] = 1, 2, 7
    found = sitk.GetArrayFromImage(restore(labels, OBLIQUE, OBLIQUE, card()).labels)
    assert found[0, 0, :3].tolist() == [1, 2, 0]


def test_only_the_largest_component_stays_and_holes_are_filled_but_not_other_segments() -> None:
    voxels = np.zeros((9, 9, 9), np.uint8)
    voxels[1:6, 1:6, 1:6] = 1
    voxels[2:5, 2:5, 2:5] = 0
    voxels[3, 3, 3] = 2
    voxels[8, 8, 8] = 1
    voxels[6, 6, 6] = 1  # touches the box by a corner
    image = sitk.GetImageFromArray(voxels)
    kept = sitk.GetArrayFromImage(clean(image, Postprocessing(largest_component=True), [1, 2]))
    assert kept[8, 8, 8] == 0
    assert kept[6, 6, 6] == 1, "26 neighbours"
    filled = sitk.GetArrayFromImage(clean(image, Postprocessing(fill_holes=True), [1, 2]))
    assert filled[2:5, 2:5, 2:5].sum() == 26 + 2, "the hole is filled around segment 2"
    assert filled[3, 3, 3] == 2
    assert filled[8, 8, 8] == 1
    assert np.array_equal(sitk.GetArrayFromImage(clean(image, Postprocessing(), [1, 2])), voxels)


def test_the_largest_of_nothing_is_nothing() -> None:
    assert not largest(np.zeros((3, 3, 3), bool)).any()
    two = np.zeros((9, 1, 1), bool)
    two[0], two[3:5] = True, True
    assert largest(two).ravel().nonzero()[0].tolist() == [3, 4]


def test_every_axis_order_and_handedness_goes_there_and_back() -> None:
    truth = np.random.default_rng(2).integers(0, 3, (3, 4, 5)).astype(np.uint8)
    for order in itertools.permutations(range(3)):
        for signs in itertools.product([-1.0, 1.0], repeat=3):
            direction = np.zeros((3, 3))
            for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
                direction[axis, column] = sign
            grid = Geometry((5, 4, 3), (1.0, 2.0, 3.0), (1.0, 2.0, 3.0), tuple(direction.ravel()))
            prepared = prepare([sitk.Cast(grid.image(truth), sitk.sitkFloat32)], Preprocessing(orientation="RAS"))
            found = restore(prepared.voxels[0].astype(np.uint8), prepared.grid, grid, card())
            assert np.array_equal(sitk.GetArrayFromImage(found.labels), truth)
