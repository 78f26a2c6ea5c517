"""What every `Segmenter` must do, wherever it runs. A new kind of segmenter is tested by one more subclass."""

import threading
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.engines.cards import StoredCard
from medseg.errors import BadInput, Notice
from medseg.geometry import Geometry
from medseg.progress import Cancelled, silent
from medseg.segmenter import Prediction, Segmenter

Open = Callable[[StoredCard], Segmenter]

OBLIQUE = sitk.VersorTransform((0.3, -0.5, 0.7), 0.6).GetMatrix()
LEFT_HANDED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
PERMUTED = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
MADE_3D = {
    "plain": {},
    "oblique": {"direction": OBLIQUE, "origin": (-81.25, 140.5, -333.125), "spacing": (0.7, 0.9, 1.3)},
    "left-handed": {"direction": LEFT_HANDED, "origin": (10.0, -20.0, 30.0)},
    "permuted axes": {"direction": PERMUTED, "size": (18, 24, 20)},
    "anisotropic": {"size": (24, 22, 7), "spacing": (0.5, 0.5, 4.0)},
    "one slice": {"size": (24, 20, 1), "spacing": (1.0, 1.0, 5.0)},
    "one sagittal slice": {"size": (1, 20, 24), "direction": OBLIQUE},
    "smaller than a window": {"size": (5, 4, 3)},
    "larger than many windows": {"size": (40, 33, 35)},
}


class SegmenterContract:
    """Subclasses give a fixture `open_segmenter`: from a stored card to the segmenter under test."""

    def test_it_names_its_card(self, open_segmenter: Open, small_card: StoredCard):
        assert open_segmenter(small_card).card == small_card.card

    @pytest.mark.parametrize("made", MADE_3D.values(), ids=MADE_3D)
    def test_the_result_lies_on_the_grid_of_the_image(self, open_segmenter: Open, small_card, volume, made):
        image = volume(**made)
        assert_lies_on(open_segmenter(small_card).predict([image], silent), image)

    @pytest.mark.parametrize("spacing", [(0.14, 0.15), (1.0, 1.0)])
    def test_the_result_of_a_radiograph_lies_on_its_grid(self, open_segmenter: Open, flat_card, volume, spacing):
        image = volume((40, 30), spacing, origin=(3.0, -4.0), direction=(0.0, -1.0, 1.0, 0.0))
        assert_lies_on(open_segmenter(flat_card).predict([image], silent), image)

    def test_the_result_moves_with_the_image(self, open_segmenter: Open, small_card, volume):
        """The same voxels elsewhere in space are the same voxels of the result."""
        segmenter = open_segmenter(small_card)
        here, there = volume(), volume(origin=(100.0, -50.0, 7.0), spacing=(2.0, 2.0, 2.0))
        assert np.array_equal(*(labels_of(segmenter.predict([image], silent)) for image in (here, there)))

    def test_the_same_image_gives_the_same_result(self, open_segmenter: Open, small_card, volume):
        segmenter = open_segmenter(small_card)
        first, other, again = (segmenter.predict([volume(seed=seed)], silent) for seed in (0, 1, 0))
        assert np.array_equal(labels_of(first), labels_of(again))
        assert not np.array_equal(labels_of(first), labels_of(other))

    def test_the_labels_are_those_of_the_card(self, open_segmenter: Open, small_card, volume):
        prediction = open_segmenter(small_card).predict([volume()], silent)
        assert prediction.segmentation.segments == small_card.card.segments
        assert set(np.unique(labels_of(prediction))) == {0, 1, 2}  # a constant result would prove nothing here

    def test_the_image_is_left_as_it_was(self, open_segmenter: Open, small_card, volume):
        image, twin = volume(direction=OBLIQUE), volume(direction=OBLIQUE)
        open_segmenter(small_card).predict([image], silent)
        assert Geometry.of(image) == Geometry.of(twin)
        assert np.array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(twin))

    @pytest.mark.parametrize("kind", [sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkFloat64])
    def test_images_of_any_number_type_are_taken(self, open_segmenter: Open, small_card, volume, kind):
        image = sitk.Cast(sitk.RescaleIntensity(volume(), 0, 255), kind)
        assert_lies_on(open_segmenter(small_card).predict([image], silent), image)

    def test_the_order_of_the_channels_counts(self, open_segmenter: Open, two_channel_card, volume):
        segmenter, images = open_segmenter(two_channel_card), [volume(seed=0), volume(seed=1)]
        straight, swapped = segmenter.predict(images, silent), segmenter.predict(images[::-1], silent)
        assert not np.array_equal(labels_of(straight), labels_of(swapped))

    def test_where_the_result_comes_from_is_told(self, open_segmenter: Open, small_card, volume):
        made = open_segmenter(small_card).predict([volume()], silent).provenance
        card = small_card.card
        assert (made.model, made.version, made.sha256) == (card.name, card.version, card.sha256)
        assert {"medseg", "torch", "SimpleITK"} <= set(made.software)
        assert made.device.startswith("cpu")
        assert made.created[:2] == "20"
        assert set(made.seconds) >= {"network"}
        assert type(made).from_json(made.as_json()) == made

    def test_progress_rises_from_0_to_1_and_says_something(self, open_segmenter: Open, small_card, volume):
        seen: list[tuple[float, str]] = []
        open_segmenter(small_card).predict([volume((40, 33, 35))], lambda *report: seen.append(report))
        fractions = [fraction for fraction, _ in seen]
        assert fractions == sorted(fractions)
        assert (fractions[0], fractions[-1]) == (0.0, 1.0)
        assert len(set(fractions)) > 5
        assert all(message for _, message in seen)

    def test_a_channel_on_another_grid_is_resampled_and_this_is_said(
        self, open_segmenter: Open, two_channel_card, volume
    ):
        images = [volume((24, 20, 18)), volume((12, 10, 9), (2.0, 2.0, 2.0), origin=(0.5, 0.5, 0.5))]
        with pytest.warns(Notice, match="image 2 lies on another grid") as said:
            prediction = open_segmenter(two_channel_card).predict(images, silent)
        assert_lies_on(prediction, images[0])
        assert [str(w.message) for w in said if w.category is Notice] == list(prediction.provenance.notes)

    def test_where_all_went_as_usual_nothing_is_said(self, open_segmenter: Open, small_card, volume):
        with warnings.catch_warnings():
            warnings.simplefilter("error", Notice)
            assert open_segmenter(small_card).predict([volume()], silent).provenance.notes == ()

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_a_wrong_number_of_channels_is_bad_input(self, open_segmenter: Open, two_channel_card, volume, count):
        images = [volume(seed=seed) for seed in range(count)]
        refused(open_segmenter(two_channel_card), images, rf"wants 2 image\(s\) \(T1, FLAIR\) but got {count}")

    def test_voxels_that_are_no_numbers_are_bad_input(self, open_segmenter: Open, small_card, volume):
        image = volume()
        image[3, 4, 5] = float("nan")
        image[6, 5, 4] = float("inf")
        refused(open_segmenter(small_card), [image], r"image 1 has 2 voxel\(s\) that are NaN or infinite")

    def test_an_image_with_nothing_in_it_is_bad_input(self, open_segmenter: Open, small_card, volume):
        refused(open_segmenter(small_card), [volume() * 0 + 7], "image 1 is empty: every voxel is 7")

    def test_an_image_without_voxels_is_bad_input(self, open_segmenter: Open, small_card):
        refused(open_segmenter(small_card), [sitk.Image([0, 4, 4], sitk.sitkFloat32)], "has no voxels")

    def test_a_colour_image_is_bad_input(self, open_segmenter: Open, small_card, volume):
        refused(open_segmenter(small_card), [sitk.Compose([volume()] * 3)], "3 values a voxel")

    def test_a_4d_image_is_bad_input(self, open_segmenter: Open, small_card, volume):
        refused(open_segmenter(small_card), [sitk.JoinSeries([volume()] * 2)], "4 dimensions")

    def test_channels_that_lie_apart_are_bad_input(self, open_segmenter: Open, two_channel_card, volume):
        apart = [volume(), volume(origin=(1000.0, 0.0, 0.0))]
        refused(open_segmenter(two_channel_card), apart, "does not overlap the first image")

    def test_after_bad_input_the_next_image_is_segmented(self, open_segmenter: Open, small_card, volume):
        segmenter = open_segmenter(small_card)
        refused(segmenter, [volume() * 0], "is empty")
        assert_lies_on(segmenter.predict([volume()], silent), volume())

    @pytest.mark.parametrize("after", [0.0, 0.2, 0.5, 0.89, 1.0])
    def test_cancelled_is_raised_at_any_time_and_the_next_image_is_segmented(
        self, open_segmenter: Open, small_card, volume, after
    ):
        segmenter, threads = open_segmenter(small_card), threading.active_count()
        expected = labels_of(segmenter.predict([volume()], silent))
        with pytest.raises(Cancelled):
            segmenter.predict([volume((40, 33, 35))], cancel_at(after))
        self.assert_nothing_left_behind(segmenter)
        assert np.array_equal(labels_of(segmenter.predict([volume()], silent)), expected)
        assert threading.active_count() <= threads + 1

    def assert_nothing_left_behind(self, segmenter: Segmenter) -> None:
        """Check what the segmenter at hand could leave."""


def labels_of(prediction: Prediction) -> np.ndarray:
    return np.asarray(sitk.GetArrayFromImage(prediction.segmentation.labels))


def assert_lies_on(prediction: Prediction, image: sitk.Image) -> None:
    found, wanted = prediction.segmentation.geometry, Geometry.of(image)
    assert found.size == wanted.size
    for key in ("spacing", "origin", "direction"):
        assert getattr(found, key) == pytest.approx(getattr(wanted, key), abs=1e-9)
    assert np.any(labels_of(prediction))


def refused(segmenter: Segmenter, images: Sequence[sitk.Image], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        segmenter.predict(images, silent)


def cancel_at(fraction: float) -> Callable[[float, str], None]:
    def progress(done: float, _message: str) -> None:
        if done >= fraction:
            raise Cancelled

    return progress
