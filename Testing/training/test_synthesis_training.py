"""Label maps as the data of a training, from the configuration to weights."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import small_head
from medseg import resources
from medseg.engines import cards
from medseg.engines.cards import StoredCard
from medseg.engines.catalog import open_segmenter
from medseg.errors import BadInput
from medseg.progress import silent
from medseg.quality import statistics_of
from medseg.training import config_file, run
from medseg.training.samples import Nothing
from medseg.training.seeds import generator
from medseg.training.sources import open_data
from medseg.training.synthesis import parts
from medseg.training.synthesis.source import recipe_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three heads and their parts."""
    for name, voxels in (("maps/{}.nii.gz", small_head.numbers()), ("parts/{}_parts.nii.gz", small_head.brain_parts())):
        image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.T))
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
        for head in ("one", "two", "three"):
            path = tmp_path / name.format(head)
            path.parent.mkdir(exist_ok=True)
            sitk.WriteImage(image, str(path))
    return tmp_path


def config(folder: Path, segments=None, **options):
    values = {
        "name": "heads",
        "license": "MIT",
        "inputs": [{"name": "MR", "modality": "MR"}],
        "segments": segments or [{"value": value, "name": name} for name, value in parts.VALUES.items()],
        "data": {
            "source": "label_maps",
            "folder": "maps",
            "options": {"parts": "parts", "validation": ["one"], "images": 2, **options},
        },
        "preprocessing": {"orientation": "RAS", "spacing": [2, 2, 2], "intensity": [{"clip_percentiles": [0.5, 99.5]}]},
        "patch": [16, 16, 16],
        "network": {
            "class": "LateDropoutUNet",
            "arguments": {"features": [4, 8], "terms": parts.terms()},
            "dropout": 0.2,
        },
        "loss": {"name": "deep_dice_ce"},
        "epochs": 1,
        "steps_per_epoch": 2,
        "precision": "float32",
    }
    return config_file.parse(values, "test", folder)


def test_maps_held_back_are_not_trained_on_and_are_named_in_the_record(folder):
    data = open_data(config(folder, test=["three"]), folder, 0, silent)
    assert [len(part) for part in (data.training, data.validation, data.test)] == [1, 2, 2]
    assert data.about["label_maps"] == {"training": ["two"], "validation": ["one"], "test": ["three"]}


def test_without_a_test_part_there_are_no_test_samples(folder):
    assert isinstance(open_data(config(folder), folder, 0, silent).test, Nothing)


def test_samples_follow_the_generator_and_have_the_size_of_the_patch(folder):
    training = open_data(config(folder), folder, 0, silent).training
    first, again, other = (training.sample(0, generator(seed)) for seed in (1, 1, 2))
    assert first.image.shape == (1, 16, 16, 16)
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.image, other.image)


def test_options_change_the_recipe(folder):
    recipe = recipe_of({"sizes": [[8, 8, 8]], "noise": 0.5, "deformation": {"mirror": 0}}, (16, 16, 16))
    assert recipe.sizes == ((8, 8, 8),)
    assert recipe.noise == 0.5
    assert recipe.deformation.mirror == 0
    assert recipe_of({}, (16, 16, 16)).sizes == ((16, 16, 16),)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nose": 1}, "no nose"),
        ({"deformation": {"twist": 1}}, "no twist"),
        ({"validation": ["four"]}, "no label map is called four"),
        ({"test": ["one"]}, "named for validation and test"),
        ({"validation": []}, "name label maps for validation"),
        ({"test": ["two", "three"]}, "leave some to train on"),
        ({"parts": "maps"}, "synthesis.prepare"),
    ],
)
def test_wrong_options_are_refused(folder, options, message):
    with pytest.raises(BadInput, match=message):
        open_data(config(folder, **options), folder, 0, silent)


def test_a_folder_without_label_maps_is_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no label maps"):
        open_data(config(folder / "empty"), folder, 0, silent)


def segments(*names):
    return [{"value": value, "name": name} for value, name in enumerate(names, start=1)]


def test_groups_of_parts_are_taught_where_they_are_asked_for(folder):
    told = {"segments": segments("White", "Grey"), "merged": ["cerebral white matter", "cortical grey matter"]}
    labels = open_data(config(folder, **told), folder, 0, silent).training.sample(0, generator(3)).labels
    assert set(labels.unique().tolist()) == {0, 1, 2}


def test_one_reader_of_several_is_taught_of_each_image(folder):
    training = open_data(
        config(folder, segments=segments("Brain"), readers=["tight", "wide"]), folder, 0, silent
    ).training
    sizes = {int(training.sample(0, generator(seed)).labels.sum()) for seed in range(6)}
    assert max(training.sample(0, generator(0)).labels.unique().tolist()) == 1
    assert len(sizes) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"merged": ["brain"]}, "merged names 1 groups; one is wanted for each segment"),
        ({"readers": ["tight"]}, "one segment is wanted"),
        ({"readers": ["hasty"]}, "no reader is called hasty"),
        ({"readers": ["tight"], "merged": ["brain"]}, "merged and readers contradict each other"),
    ],
)
def test_what_is_to_be_taught_must_fit_the_segments(folder, options, message):
    with pytest.raises(BadInput, match=message):
        open_data(config(folder, **options), folder, 0, silent)


def test_a_run_trains_and_writes_its_card(folder):
    card = run.train(config(folder, test=["three"]), folder / "run", silent)
    assert card.is_file()
    assert (folder / "run" / "member-1" / "best.safetensors").is_file()
    stored = StoredCard(cards.read(card), card, removable=True)
    usual, segmenter = statistics_of(stored.card), open_segmenter(stored, "cpu", "pytorch")
    drawn = open_data(config(folder), folder, 0, silent).training.sample(0, generator(5)).image[0].numpy()
    empty = np.pad(np.ones((2, 2, 2)), (0, 14))
    near, far = (usual.distance(segmenter.features([_image(voxels)])) for voxels in (drawn, empty))
    assert stored.card.scores["features"]["cases"] == 200
    assert near <= usual.limit < far


def _image(voxels):
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.T))
    image.SetSpacing((2, 2, 2))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    return image


def test_the_configuration_that_is_shipped_names_every_part_in_its_place():
    path = resources.shipped() / "Training" / "brain-parts.yaml"
    config = config_file.read(path)
    assert [segment.value for segment in config.segments] == list(parts.VALUES.values())
    for segment, name in zip(config.segments, parts.NAMES, strict=True):
        told = segment.name.lower().replace(",", "").replace(" matter", "").replace(" lobe", "")
        assert told == name.replace("sulcal fluid", "sulcal cerebrospinal fluid")
    recipe_of(config.data.options, config.patch)
    assert config.network["arguments"]["terms"] == parts.terms()
