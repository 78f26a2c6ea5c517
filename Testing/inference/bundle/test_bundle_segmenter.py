"""How a bundle behaves as a segmenter: bad images, progress, cancelling, provenance."""

import re

import monai
import pytest
import SimpleITK as sitk
import torch

from medseg.errors import BadInput, Failed
from medseg.geometry import Geometry
from medseg.inference import bundle_config, bundle_files
from medseg.inference.bundle import BundleSegmenter, card_of
from medseg.inference.device import choose
from medseg.progress import Cancelled, silent


def test_too_few_images_are_refused_and_the_wanted_ones_named(make_bundle, open_, new_volume):
    engine = open_(make_bundle(network={"in_channels": 2}, inputs={"0": "T1", "1": "FLAIR"}))
    with pytest.raises(BadInput, match=re.escape("wants 2 image(s) (T1, FLAIR) but got 1")):
        engine.predict([new_volume()], silent)


def test_a_network_that_wants_other_channels_than_the_metadata_says_fails_with_both_numbers(
    make_bundle, open_, new_volume
):
    engine = open_(make_bundle(network={"in_channels": 1}, inputs={"0": "T1", "1": "FLAIR"}))
    with pytest.raises(Failed, match="to have 1 channels, but got 2 channels"):
        engine.predict([new_volume(), new_volume()], silent)


def test_a_second_channel_on_another_grid_is_resampled_and_said_so(make_bundle, open_, new_volume):
    engine = open_(make_bundle(network={"in_channels": 2}, inputs={"0": "T1", "1": "FLAIR"}))
    first, second = new_volume("axial"), new_volume("axial", size=(40, 30, 30))
    prediction = engine.predict([first, second], silent)
    assert prediction.segmentation.geometry.same_as(Geometry.of(first))
    assert any("resampled to the first" in note for note in prediction.provenance.notes)


@pytest.mark.parametrize("size", [(38, 42, 1), (5, 4, 3)])
def test_volumes_thinner_than_a_window(make_bundle, segment, by_monai, size):
    folder = make_bundle()
    image = sitk.GaussianSource(sitk.sitkFloat32, size, [6, 6, 6], [n / 2 for n in size], 250)
    image.SetSpacing((1.5, 1.5, 2.0))
    ours = sitk.GetArrayFromImage(segment(folder, image).segmentation.labels)
    assert (ours == sitk.GetArrayFromImage(by_monai(folder, image))).mean() > 0.999


def two_steps(config):
    """A bundle whose own inferer calls the network, so that only the network can report."""
    config["inferer"] = {"_target_": "SliceInferer", "roi_size": [16, 16], "spatial_dim": 2}


@pytest.mark.parametrize(("change", "network"), [(lambda _c: None, {}), (two_steps, {"spatial_dims": 2})])
def test_progress_rises_from_0_to_1_and_any_call_may_cancel(make_bundle, open_, new_volume, change, network):
    engine, image = open_(make_bundle(change=change, network=network)), new_volume()
    seen = []
    engine.predict([image], lambda fraction, _text: seen.append(fraction))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) >= 10
    for cancel_at in range(0, len(seen), len(seen) // 4):
        with pytest.raises(Cancelled):
            engine.predict([image], cancelling_at(cancel_at))


def test_every_part_reports(make_bundle, open_, new_volume):
    said = []
    open_(make_bundle(change=no_inversion)).predict([new_volume()], lambda _fraction, text: said.append(text))
    for part in ("preparing the image", "window", "postprocessing", "done"):
        assert any(text.startswith(part) for text in said), part


def no_inversion(config):
    """Leaves a step after the choice of the class, which runs on its own."""
    del config["postprocessing"]["transforms"][1]
    config["postprocessing"]["transforms"].insert(2, {"_target_": "EnsureTyped", "keys": "pred"})


def cancelling_at(call):
    calls = iter(range(10_000))

    def progress(_fraction, _text):
        if next(calls) == call:
            raise Cancelled

    return progress


def test_provenance_names_model_software_settings_and_times(make_bundle, open_, new_volume):
    engine = open_(make_bundle())
    record = engine.predict([new_volume()], silent).provenance
    assert (record.model, record.version, record.sha256) == (engine.card.name, "0.5.9", engine.card.sha256)
    assert record.software["monai"] == monai.__version__
    assert record.software["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert record.software["bundle Spleen CT segmentation"] == "0.5.9"
    assert record.device.startswith("cpu")
    assert record.options["window"] == [24, 24, 16]
    assert record.options["overlap"] == 0.5
    assert set(record.seconds) == {"prepare", "network", "restore"}
    assert type(record).from_json(record.as_json()) == record


def test_a_bundle_beside_its_card_is_found_by_a_relative_path(make_bundle, new_volume):
    from dataclasses import replace

    folder = make_bundle()
    card = card_of(bundle_files.read(folder))
    moved = replace(card, bundle={**card.bundle, "path": folder.name})
    prediction = BundleSegmenter(moved, folder.parent, choose("cpu")).predict([new_volume()], silent)
    assert prediction.segmentation.segments == card.segments


def test_preprocessing_that_breaks_is_named(make_bundle, open_, new_volume):
    def crop_elsewhere(config):
        step = {"_target_": "ResampleToMatchd", "keys": "image", "key_dst": "nothing"}
        config["preprocessing"]["transforms"].append(step)

    with pytest.raises(Failed, match="preprocessing broke at ResampleToMatchd"):
        open_(make_bundle(change=crop_elsewhere)).predict([new_volume()], silent)


def test_a_part_that_cannot_be_built_is_bad_input(make_bundle, open_):
    folder = make_bundle(change=lambda config: config["inferer"].update(no_such_argument=1))
    with pytest.raises(
        BadInput, match=r"its inferer cannot be built: .*no_such_argument.*is for MONAI .*installed is \d"
    ):
        open_(folder)


def test_a_reference_to_nothing_is_bad_input(make_bundle, open_):
    folder = make_bundle(change=lambda config: config["preprocessing"]["transforms"][2].update(axcodes="@nothing"))
    with pytest.raises(BadInput, match=r"preprocessing cannot be built: .*nothing"):
        open_(folder)


def test_device_arguments_of_the_bundle_do_not_force_a_gpu(make_bundle, segment, new_volume):
    def on_gpu(config):
        config["device"] = "$torch.device('cuda')"
        config["where"] = "$torch.device('cuda:0')"
        config["network"] = "$@network_def.to(@device).to(@where)"
        config["preprocessing"]["transforms"][5]["device"] = "$torch.device('cuda')"
        config["inferer"]["device"] = "@where"

    folder = make_bundle(published=True, change=on_gpu)
    assert segment(folder, new_volume(), trust=True).segmentation.layers == 1


def test_the_network_goes_to_the_device_and_transforms_stay_on_the_cpu(make_bundle):
    def name_devices(config):
        config["device"] = "$torch.device('cuda')"
        config["other"] = "$torch.ones(1).to(torch.device('cuda:3'))"
        config["space"] = {"_target_": "monai.networks.nets.TopologyInstance", "device": "$torch.device('cuda')"}
        config["preprocessing"]["transforms"][5]["device"] = "$torch.device('cuda')"

    bundle = bundle_files.read(make_bundle(published=True, change=name_devices))
    device = torch.device("cuda:1")
    config = bundle_config.adapted(bundle, bundle_config.load(bundle.config), device, trusted=True)
    assert config["device"] == device
    assert config["space"]["device"] == device
    assert config["preprocessing"]["transforms"][5]["device"] == torch.device("cpu")
    assert config["other"] == "$torch.ones(1).to(torch.device('cuda:1'))"


def test_a_reader_that_is_not_installed_is_not_needed(make_bundle, segment, new_volume):
    def by_itk(config):
        config["preprocessing"]["transforms"][0]["reader"] = "NoSuchReader"

    folder = make_bundle(published=True, change=by_itk)
    assert segment(folder, new_volume(), trust=True).segmentation.layers == 1


def lazy(config):
    """Two interpolations that lazy preprocessing makes one of."""
    config["preprocessing"]["lazy"] = True
    zoom = {"_target_": "Zoomd", "keys": "image", "zoom": 1.15, "keep_size": False, "mode": "trilinear"}
    config["preprocessing"]["transforms"].insert(4, zoom)


def test_lazy_preprocessing(make_bundle, segment, new_volume, by_monai, same):
    folder, image = make_bundle(change=lazy), new_volume("oblique")
    same(segment(folder, image).segmentation.labels, by_monai(folder, image), [0, 1, 2])


def no_postprocessing(config):
    del config["postprocessing"]


def test_a_bundle_without_postprocessing_takes_the_largest_output(make_bundle, segment, new_volume):
    prediction = segment(make_bundle(change=no_postprocessing), new_volume("axial"))
    assert any("no postprocessing" in note for note in prediction.provenance.notes)
    assert prediction.segmentation.geometry.size == (38, 42, 26)


def test_an_argument_that_monai_has_dropped_is_left_out(make_bundle):
    network = {"_target_": "SwinUNETR", "img_size": 96, "in_channels": 1, "out_channels": 3, "feature_size": 12}
    folder = make_bundle(change=lambda config: config.update(network_def=network))
    bundle = bundle_files.read(folder)
    config = bundle_config.adapted(bundle, bundle_config.load(bundle.config), torch.device("cpu"), trusted=True)
    assert config["network_def"] == {key: value for key, value in network.items() if key != "img_size"}
