"""The labels and their place are those that MONAI itself gives for the same bundle and file."""

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.geometry import Geometry
from medseg.inference import bundle_steps


def test_plain_bundle_gives_monais_labels_on_any_grid(make_bundle, new_volume, segment, by_monai, same, any_grid):
    folder, image = make_bundle(), new_volume(any_grid)
    ours = segment(folder, image).segmentation
    same(ours.labels, by_monai(folder, image), [0, 1, 2])
    assert ours.geometry.same_as(Geometry.of(image))
    assert [s.name for s in ours.segments] == ["spleen", "liver"]


def test_an_image_that_never_was_in_a_file_gives_what_monai_gives_from_its_file(
    make_bundle, new_volume_in_memory, segment, by_monai, same
):
    folder, image = make_bundle(), new_volume_in_memory("oblique")
    same(segment(folder, image).segmentation.labels, by_monai(folder, image), [0, 1, 2])


@pytest.mark.parametrize("extension", ["json", "yaml", "yml"])
def test_published_style_gives_monais_labels_once_trusted(make_bundle, new_volume, segment, by_monai, same, extension):
    folder, image = make_bundle(published=True, extension=extension), new_volume("oblique")
    same(segment(folder, image, trust=True).segmentation.labels, by_monai(folder, image), [0, 1, 2])


def inferer(**settings):
    def change(config):
        config["inferer"].update(settings)

    return change


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "gaussian", "sigma_scale": 0.3},
        {"overlap": [0.1, 0.6, 0.3]},
        {"roi_size": [16, 16, -1]},
        {"sw_batch_size": 1, "overlap": 0},
        {"_target_": "SlidingWindowInfererAdapt"},
        {"roi_size": [48, 64, 32], "padding_mode": "replicate"},
        {"roi_size": [48, 64, 32], "cval": 3.0},
        {"mode": "gaussian", "sigma_scale": [0.1, 0.2, 0.3]},  # only the inferer itself knows how
    ],
    ids=str,
)
def test_the_bundles_inferer_settings_hold(make_bundle, new_volume, segment, by_monai, same, settings):
    folder, image = make_bundle(change=inferer(**settings)), new_volume("anisotropic")
    same(segment(folder, image).segmentation.labels, by_monai(folder, image), [0, 1, 2])


def whole_volume(config):
    config["inferer"] = {"_target_": "SimpleInferer"}
    for step in config["preprocessing"]["transforms"]:
        if step["_target_"] == "Spacingd":
            step.update({"_target_": "Resized", "spatial_size": [32, 32, 32], "mode": "trilinear"})
            del step["pixdim"]


def test_simple_inferer_sees_the_whole_volume(make_bundle, new_volume, segment, by_monai, same):
    folder, image = make_bundle(change=whole_volume), new_volume("left-handed")
    same(segment(folder, image).segmentation.labels, by_monai(folder, image), [0, 1, 2])


def slices(config):
    config["inferer"] = {"_target_": "SliceInferer", "roi_size": [16, 16], "spatial_dim": 2, "sw_batch_size": 3}


def test_slice_inferer_runs_a_2d_network_over_a_volume(make_bundle, new_volume, segment, by_monai, same):
    folder, image = make_bundle(network={"spatial_dims": 2}, change=slices), new_volume("oblique")
    same(segment(folder, image).segmentation.labels, by_monai(folder, image), [0, 1, 2])


def argmax_first(config):
    steps = config["postprocessing"]["transforms"]
    steps[1]["nearest_interp"] = True
    steps[1], steps[2] = steps[2], steps[1]


def test_class_chosen_before_inverting(make_bundle, new_volume, segment, by_monai, same):
    folder, image = make_bundle(change=argmax_first), new_volume("oblique")
    same(segment(folder, image).segmentation.labels, by_monai(folder, image), [0, 1, 2])


def discrete_step_without_effect(config):
    config["postprocessing"]["transforms"].insert(1, {"_target_": "AsDiscreted", "keys": "pred"})


def test_only_a_step_that_chooses_the_class_is_taken_for_one(make_bundle, new_volume, segment, by_monai, same):
    folder, image = make_bundle(change=discrete_step_without_effect), new_volume("oblique")
    same(segment(folder, image).segmentation.labels, by_monai(folder, image), [0, 1, 2])


def largest_component(config):
    step = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "applied_labels": [1, 2]}
    config["postprocessing"]["transforms"].insert(3, step)


def test_the_bundles_own_largest_component_step_runs(make_bundle, new_volume, segment, by_monai, same):
    pytest.importorskip("skimage", reason="MONAI finds components with scikit-image")
    folder, image = make_bundle(change=largest_component), new_volume("oblique")
    ours = segment(folder, image).segmentation
    same(ours.labels, by_monai(folder, image), [1, 2])
    for segment_ in ours.segments:
        mask = Geometry.of(image).image(ours.mask(segment_).astype(np.uint8))
        assert sitk.GetArrayFromImage(sitk.ConnectedComponent(mask, True)).max() == 1


def test_classes_inverted_a_few_at_a_time_give_the_same_labels(make_bundle, new_volume, segment, monkeypatch):
    folder, image = make_bundle(), new_volume("oblique")
    at_once = sitk.GetArrayFromImage(segment(folder, image).segmentation.labels)
    monkeypatch.setattr(bundle_steps, "_CHUNK_BYTES", 1)
    one_by_one = sitk.GetArrayFromImage(segment(folder, image).segmentation.labels)
    assert set(np.unique(at_once)) == {0, 1, 2}
    np.testing.assert_array_equal(one_by_one, at_once)


def not_inverted(config):
    del config["postprocessing"]["transforms"][1]


def test_result_left_on_the_networks_grid_is_brought_back_and_said_so(
    make_bundle, new_volume, segment, by_monai, same, any_grid
):
    folder, image = make_bundle(change=not_inverted), new_volume(any_grid)
    prediction = segment(folder, image)
    ours = prediction.segmentation
    assert ours.geometry.same_as(Geometry.of(image))
    assert any("grid of its own" in note for note in prediction.provenance.notes)
    theirs = by_monai(folder, image)
    assert theirs.GetSize() != image.GetSize()
    same(ours.labels, sitk.Resample(theirs, image, interpolator=sitk.sitkNearestNeighbor), [0, 1, 2])


def four_channels(config):
    del config["preprocessing"]["transforms"][1:4]
    config["preprocessing"]["transforms"].insert(
        1, {"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True, "channel_wise": True}
    )


def regions(config):
    """The overlapping regions of a brain tumour, as in the BraTS bundle."""
    four_channels(config)
    steps = config["postprocessing"]["transforms"]
    steps[0] = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
    steps[2] = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}


T1C_T1_T2_FLAIR = {"0": "T1c", "1": "T1", "2": "T2", "3": "FLAIR"}
REGIONS = {"0": "Tumor core", "1": "Whole tumor", "2": "Enhancing tumor"}


def brats(make_bundle, **more):
    options = {"network": {"in_channels": 4}, "inputs": T1C_T1_T2_FLAIR, "channels": REGIONS, "change": regions}
    return make_bundle("brats_mri_segmentation", **{**options, **more})


def test_overlapping_regions_of_four_images_become_layers(make_bundle, new_volume, segment, by_monai, same):
    folder, images = brats(make_bundle), [new_volume("oblique", seed=n) for n in range(4)]
    ours = segment(folder, *images).segmentation
    theirs = by_monai(folder, *images)
    assert ours.layers == 3
    assert [(s.name, s.value, s.layer) for s in ours.segments] == [
        ("Tumor core", 1, 0),
        ("Whole tumor", 1, 1),
        ("Enhancing tumor", 1, 2),
    ]
    masks = [ours.mask(s) for s in ours.segments]
    assert (masks[0] & masks[1]).any()
    for layer, mask in enumerate(masks):
        component = theirs[..., layer] if theirs.GetDimension() == 4 else sitk.VectorIndexSelectionCast(theirs, layer)
        same(Geometry.of(images[0]).image(mask), component, [0, 1])


MERGE = "$lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))"


def merged_regions(config):
    regions(config)
    config["postprocessing"]["transforms"].insert(3, {"_target_": "Lambdad", "keys": "pred", "func": MERGE})


def test_named_regions_are_kept_apart_where_the_bundle_would_merge_them_without_names(
    make_bundle, new_volume, segment, by_monai
):
    folder, images = brats(make_bundle, change=merged_regions), [new_volume("axial", seed=n) for n in range(4)]
    prediction = segment(folder, *images, trust=True)
    assert [s.name for s in prediction.segmentation.segments] == ["Tumor core", "Whole tumor", "Enhancing tumor"]
    assert any("merges its structures" in note for note in prediction.provenance.notes)
    core, whole, enhancing = (prediction.segmentation.mask(s) for s in prediction.segmentation.segments)
    merged = np.where(enhancing, 4, np.where(core, 1, np.where(whole, 2, 0)))
    assert np.mean(merged == sitk.GetArrayFromImage(by_monai(folder, *images))) > 0.9995


def one_hot(config):
    config["postprocessing"]["transforms"][2]["to_onehot"] = 3


def test_one_hot_result_becomes_plain_labels(make_bundle, new_volume, segment):
    image = new_volume("oblique")
    plain = segment(make_bundle("plain"), image).segmentation.labels
    hot = segment(make_bundle("hot", change=one_hot), image).segmentation.labels
    assert hot.GetNumberOfComponentsPerPixel() == 1
    np.testing.assert_array_equal(sitk.GetArrayFromImage(hot), sitk.GetArrayFromImage(plain))


def single_sigmoid(config):
    steps = config["postprocessing"]["transforms"]
    steps[0] = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
    steps[2] = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}


def test_single_sigmoid_channel_is_one_segment(make_bundle, new_volume, segment, by_monai, same):
    folder = make_bundle(network={"out_channels": 1}, channels={"0": "lesion"}, change=single_sigmoid)
    image = new_volume("oblique")
    ours = segment(folder, image).segmentation
    assert [(s.name, s.value, s.layer) for s in ours.segments] == [("lesion", 1, 0)]
    same(ours.labels, by_monai(folder, image), [0, 1])


def loaded_with_channel(config):
    steps = config["preprocessing"]["transforms"]
    steps[0]["ensure_channel_first"] = True
    del steps[1]


def test_loader_that_adds_the_channel_itself(make_bundle, new_volume, segment, by_monai, same):
    folder, image = make_bundle(change=loaded_with_channel), new_volume("oblique")
    same(segment(folder, image).segmentation.labels, by_monai(folder, image), [0, 1, 2])


def two_dimensional(config):
    del config["preprocessing"]["transforms"][2:4]
    config["inferer"]["roi_size"] = [24, 24]


def test_radiograph(make_bundle, new_volume, segment, by_monai, same):
    folder = make_bundle(network={"spatial_dims": 2}, change=two_dimensional)
    image = new_volume("anisotropic", size=(70, 90, 6))[:, :, 2]
    image.SetOrigin((12.0, -40.0))
    ours = segment(folder, image).segmentation
    assert ours.geometry.same_as(Geometry.of(image))
    same(ours.labels, by_monai(folder, image), [0, 1, 2])


def test_unnamed_labels_get_names_and_a_note(make_bundle, new_volume, segment):
    folder = make_bundle(channels={"0": "background", "1": "spleen"})
    prediction = segment(folder, new_volume("axial"))
    assert [s.name for s in prediction.segmentation.segments] == ["spleen", "Segment 2"]
    assert any("does not name" in note and "[2]" in note for note in prediction.provenance.notes)
