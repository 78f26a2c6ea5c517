"""What a bundle's metadata and licence say, as a model card."""

import json

import pytest

from medseg import fingerprints
from medseg.engines import cards
from medseg.errors import BadInput, Notice
from medseg.inference import bundle_files
from medseg.inference.bundle import card_of
from medseg.model_card import Channel
from medseg.segmentation import PALETTE


def rewrite_metadata(folder, change):
    path = folder / "configs" / "metadata.json"
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))


def described(folder, change=lambda _metadata: None):
    rewrite_metadata(folder, change)
    return card_of(bundle_files.read(folder))


def test_the_card_says_what_the_metadata_says(make_bundle):
    folder = make_bundle()
    card = described(folder)
    assert (card.name, card.version, card.engine) == ("spleen-ct-segmentation", "0.5.9", "bundle")
    assert card.title == "Spleen CT segmentation"
    assert card.description == "Volumetric (3D) segmentation of the spleen from CT image"
    assert card.license == "Apache-2.0"
    assert card.source == "MONAI team"
    assert card.intended_use == "This is an example, not to be used for diagnostic purposes"
    assert card.training_data == "Task09_Spleen"
    assert card.scores == {"mean_dice": 0.96}
    assert card.inputs == (Channel("image", "CT", "hounsfield"),)
    assert [(s.name, s.value, s.color) for s in card.segments] == [("spleen", 1, PALETTE[0]), ("liver", 2, PALETTE[1])]
    assert (card.inference.window, card.inference.overlap, card.inference.classes) == ((24, 24, 16), 0.5, 3)
    assert card.weights[0].file == "models/model.pt"
    assert card.sha256 == fingerprints.of_file(folder / "models" / "model.pt")
    assert card.bundle == {"path": str(folder), "sha256": bundle_files.fingerprint(folder), "trusted": False}


@pytest.mark.parametrize("minimal", [False, True])
def test_the_card_is_valid_against_the_schema(make_bundle, minimal):
    def keep_little(metadata):
        for key in [key for key in metadata if key not in ("network_data_format", "version")]:
            del metadata[key]

    card = described(make_bundle(), keep_little if minimal else lambda _metadata: None)
    data = {"schema_version": 1, **json.loads(json.dumps(card.as_json()))}
    assert cards.parse(data, "card") == card


def test_channels_and_regions(make_bundle):
    regions = {"0": "Tumor core", "1": "Whole tumor", "2": "Enhancing tumor"}
    images = {"0": "T1c", "1": "T1", "2": "T2", "3": "FLAIR"}

    def sigmoid(config):
        steps = config["postprocessing"]["transforms"]
        steps[0] = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
        steps[2] = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}

    card = described(make_bundle(channels=regions, inputs=images, change=sigmoid))
    assert [channel.name for channel in card.inputs] == ["T1c", "T1", "T2", "FLAIR"]
    assert [(s.name, s.value, s.layer) for s in card.segments] == [
        ("Tumor core", 1, 0),
        ("Whole tumor", 1, 1),
        ("Enhancing tumor", 1, 2),
    ]
    assert card.inference.activation == "sigmoid"


def test_classes_chosen_by_argmax_are_labels_even_if_class_0_is_not_called_background(make_bundle):
    card = described(make_bundle(channels={"0": "rest", "1": "spleen", "2": "liver"}))
    assert [(s.name, s.value, s.layer) for s in card.segments] == [("spleen", 1, 0), ("liver", 2, 0)]


@pytest.mark.parametrize(
    ("text", "license_"),
    [
        ("MIT License\n\nCopyright", "MIT"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International", "CC-BY-NC-SA-4.0"),
        ("Ask the hospital", "see LICENSE"),
        (None, "Copyright (c) MONAI Consortium"),
    ],
)
def test_the_licence(make_bundle, text, license_):
    folder = make_bundle()
    (folder / "LICENSE").write_text(text) if text else (folder / "LICENSE").unlink()
    assert described(folder).license == license_


def test_the_licence_in_the_metadata_wins(make_bundle):
    assert described(make_bundle(), lambda metadata: metadata.update(license="CC0-1.0")).license == "CC0-1.0"


def no_inputs(metadata):
    del metadata["network_data_format"]["inputs"]


def points(metadata):
    metadata["network_data_format"]["inputs"]["points"] = {"type": "tuple"}


def no_names(metadata):
    del metadata["network_data_format"]["outputs"]["pred"]["channel_def"]


def no_outputs(metadata):
    del metadata["network_data_format"]["outputs"]


def classification(metadata):
    metadata["network_data_format"]["outputs"]["pred"]["format"] = "classification"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (no_inputs, "does not say which images"),
        (points, "wants points, which is no image"),
        (no_outputs, "does not say what it segments"),
        (classification, "not a segmentation"),
        (lambda metadata: metadata.update(network_data_format="?"), "does not say which images"),
    ],
)
def test_metadata_that_describes_no_segmentation_of_images(make_bundle, change, said):
    with pytest.raises(BadInput, match=said):
        described(make_bundle(), change)


def test_segments_without_names_are_numbered_and_said_so(make_bundle):
    with pytest.warns(Notice, match="does not name what it segments"):
        card = described(make_bundle(), no_names)
    assert [(s.name, s.value) for s in card.segments] == [("Segment 1", 1), ("Segment 2", 2)]


def test_an_image_that_is_described_by_another_type_is_still_an_image(make_bundle):
    def magnitude(metadata):
        metadata["network_data_format"]["inputs"]["image"]["type"] = "magnitude"

    assert len(described(make_bundle(), magnitude).inputs) == 1
