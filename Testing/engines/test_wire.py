"""What goes through the shared folder comes out on the same grid, voxel for voxel."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.engines import wire
from medseg.engines.shared_folder import SharedFolder
from medseg.geometry import Geometry
from medseg.segmentation import Segmentation
from medseg.segmenter import Prediction, Provenance
from medseg.uncertainty import Uncertainty

OBLIQUE = sitk.VersorTransform((0.3, -0.5, 0.7), 0.6).GetMatrix()
LEFT_HANDED = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRIDS = {
    "oblique": Geometry((5, 4, 3), (0.7, 0.9, 1 / 3), (-81.25, 0.1 + 0.2, 1e-7), OBLIQUE),
    "left-handed": Geometry((3, 4, 5), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), LEFT_HANDED),
    "one slice": Geometry((6, 5, 1), (1.0, 1.0, 4.0), (1.0, 2.0, 3.0), OBLIQUE),
    "2D": Geometry((7, 4), (0.14, 0.15), (3.0, -4.0), (0.0, -1.0, 1.0, 0.0)),
}
TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64, np.float32, np.float64)


@pytest.fixture
def folder(tmp_path):
    made = SharedFolder(tmp_path / "shared")
    made.path.mkdir()
    return made


def through(message):
    """What the other process gets to see of a message."""
    return json.loads(json.dumps(message))


def counted(grid, dtype=np.float32):
    return grid.image(np.arange(np.prod(grid.size)).reshape(grid.shape).astype(dtype))


def assert_same(image, other):
    assert Geometry.of(image) == Geometry.of(other)
    assert image.GetPixelID() == other.GetPixelID()
    assert np.array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(other))


def arrays_in(folder):
    return [path.name for path in folder.path.iterdir()]


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_an_image_keeps_its_voxels_and_every_digit_of_its_grid(folder, grid):
    image = counted(grid)
    assert_same(wire.unpack_image(through(wire.pack_image(image, folder)), folder), image)


@pytest.mark.parametrize("dtype", TYPES)
def test_an_image_keeps_its_type(folder, dtype):
    image = counted(GRIDS["oblique"], dtype)
    assert_same(wire.unpack_image(through(wire.pack_image(image, folder)), folder), image)


def test_an_image_of_layers_keeps_them(folder):
    image = sitk.Compose([counted(GRIDS["oblique"], np.uint8), counted(GRIDS["oblique"], np.uint8) + 1])
    assert_same(wire.unpack_image(through(wire.pack_image(image, folder)), folder), image)


def test_the_image_read_back_does_not_change_with_the_folder(folder):
    image = counted(GRIDS["oblique"])
    message = through(wire.pack_image(image, folder))
    file = folder.path / message["voxels"]["file"]
    with file.open("r+b") as held:  # the same memory as another process would map
        back = wire.unpack_image(message, folder)
        held.write(bytes(file.stat().st_size) if file.exists() else bytes(240))
    assert_same(back, image)


def test_voxels_are_dropped_once_read(folder):
    message = wire.pack_image(counted(GRIDS["oblique"]), folder)
    assert len(arrays_in(folder)) == 1
    wire.unpack_image(through(message), folder)
    assert arrays_in(folder) == []


def test_a_model_arrives_as_it_was(small_card):
    assert wire.unpack_model(through(wire.pack_model(small_card))) == small_card


def test_a_model_with_every_kind_of_value_arrives_as_it_was(small_card):
    from medseg.engines import cards

    for stored in [
        *cards.listed(),
        replace(small_card, path=Path("/somewhere else/größer/card.json"), removable=False),
    ]:
        assert wire.unpack_model(through(wire.pack_model(stored))) == stored


@pytest.mark.parametrize("with_maps", [False, True])
def test_a_prediction_arrives_as_it_was(folder, small_card, with_maps):
    labels = counted(GRIDS["left-handed"], np.uint8)
    maps = Uncertainty(counted(GRIDS["left-handed"]), counted(GRIDS["left-handed"]) * 0.5) if with_maps else None
    made = Provenance("m", "1", "ab", {"torch": "2"}, "cpu", "now", {"window": [1, 2]}, ("größer",), {"network": 1.5})
    sent = Prediction(Segmentation(labels, small_card.card.segments), made, maps)
    got = wire.unpack_prediction(through(wire.pack_prediction(sent, folder)), folder)
    assert_same(got.segmentation.labels, labels)
    assert (got.segmentation.segments, got.provenance) == (small_card.card.segments, made)
    assert (got.uncertainty is None) == (maps is None)
    if maps and got.uncertainty:
        assert_same(got.uncertainty.predictive_entropy, maps.predictive_entropy)
        assert_same(got.uncertainty.expected_entropy, maps.expected_entropy)
    assert arrays_in(folder) == []
