"""Do these images fit this model? Every wrong answer has its own message."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from medseg import inputs, resources
from medseg.errors import BadInput, Notice
from medseg.geometry import Geometry
from medseg.model_card import Channel, Inference, ModelCard, Preprocessing

GRID = Geometry((6, 5, 4), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))


def card(channels: int) -> ModelCard:
    data = json.loads((resources.shipped() / "Models" / "brain-t1.json").read_text(encoding="utf-8"))
    names = ("T1", "T2", "FLAIR")[:channels]
    return replace(ModelCard.from_json(data), inputs=tuple(Channel(name) for name in names))


def image(seed: int = 0, grid: Geometry = GRID) -> sitk.Image:
    return grid.image(np.random.default_rng(seed).integers(0, 1000, grid.shape).astype(np.int16))


def test_fitting_images_come_back_as_float32_unchanged() -> None:
    (fitted,) = inputs.fit(card(1), [image()])
    assert fitted.GetPixelID() == sitk.sitkFloat32
    assert np.array_equal(sitk.GetArrayFromImage(fitted), sitk.GetArrayFromImage(image()))


@pytest.mark.parametrize(("wanted", "given"), [(1, 2), (2, 1), (3, 0)])
def test_a_wrong_number_of_channels_names_what_is_wanted_and_what_came(wanted: int, given: int) -> None:
    with pytest.raises(BadInput, match=rf"wants {wanted} image\(s\) \(T1.*got {given}"):
        inputs.fit(card(wanted), [image(n) for n in range(given)])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_are_counted(value: float) -> None:
    voxels = sitk.GetArrayFromImage(image()).astype(np.float32)
    voxels[0, 0, :2] = value
    with pytest.raises(BadInput, match=r"scan\.nii has 2 voxel\(s\) that are NaN or infinite"):
        inputs.fit(card(1), [GRID.image(voxels)], ["scan.nii"])


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(BadInput, match=r"scan\.nii is empty: every voxel is 0"):
        inputs.fit(card(1), [GRID.image(np.zeros(GRID.shape, np.int16))], ["scan.nii"])


def test_time_series_and_colours_are_refused() -> None:
    series = sitk.JoinSeries([image(), image(1)])
    with pytest.raises(BadInput, match="4 dimensions"):
        inputs.fit(card(1), [series])
    with pytest.raises(BadInput, match="2 values a voxel"):
        inputs.fit(card(1), [sitk.Compose(image(), image(1))])


def test_a_channel_on_another_grid_is_resampled_to_the_first_and_said_so() -> None:
    fine = GRID.resized((12, 10, 8))
    positions = np.stack(np.meshgrid(*[np.arange(n) for n in fine.shape], indexing="ij"), -1)[..., ::-1]
    in_mm = positions @ fine.affine[:3, :3].T + fine.affine[:3, 3]
    other = fine.image(in_mm[..., 0].astype(np.float32))
    with pytest.warns(Notice, match="t2.nii lies on another grid and was resampled"):
        first, second = inputs.fit(card(2), [image(), other], ["t1.nii", "t2.nii"])
    assert Geometry.of(second).same_as(Geometry.of(first))
    assert np.allclose(sitk.GetArrayFromImage(second)[1:-1, 1:-1, 1:-1], np.arange(1.0, 5.0), atol=1e-4)


def test_channels_on_one_grid_are_said_nothing_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inputs.fit(card(2), [image(), image(1)])


def test_a_channel_of_another_place_or_dimension_is_refused() -> None:
    far = replace(GRID, origin=(500.0, 0.0, 0.0))
    with pytest.raises(BadInput, match="does not overlap the first image"):
        inputs.fit(card(2), [image(), image(1, far)])
    flat = Geometry((6, 5), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0))
    with pytest.raises(BadInput, match="is 2D but the first image is 3D"):
        inputs.fit(replace(card(2), preprocessing=Preprocessing()), [image(), image(1, flat)])


@pytest.mark.parametrize(("window", "spacing"), [((64, 64), (1.0, 1.0)), ((64, 64, 64), (1.0, 1.0, 1.0))])
def test_a_radiograph_is_not_a_volume_nor_a_volume_a_radiograph(window: tuple[int, ...], spacing: tuple) -> None:
    model = replace(card(1), preprocessing=Preprocessing(), inference=Inference(window=window))
    wanted = Geometry((9,) * len(window), spacing, (0.0,) * len(window), tuple(np.eye(len(window)).ravel()))
    inputs.fit(model, [image(0, wanted)])
    other = GRID if len(window) == 2 else Geometry((6, 5), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0))
    with pytest.raises(BadInput, match=rf"scan is {other.dimension}D but model brain-t1 wants {len(window)}D images"):
        inputs.fit(model, [image(0, other)], ["scan"])


def test_a_small_channel_inside_a_large_one_overlaps_it() -> None:
    large = Geometry((60, 60, 60), (5.0,) * 3, (-150.0,) * 3, GRID.direction)
    with pytest.warns(Notice, match="resampled"):
        inputs.fit(card(2), [image(0, large), image()])
