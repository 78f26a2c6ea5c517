"""nnU-Net result folders: the labels nnU-Net gives from file to file, and folders that must not be opened."""

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medseg.errors import BadInput, Failed
from medseg.geometry import Geometry
from medseg.inference import nnunet
from medseg.inference.device import choose
from medseg.inference.nnunet import NnunetSegmenter, card_of
from medseg.progress import Cancelled, silent

OBLIQUE = sitk.VersorTransform((0.3, 0.8, 0.5), 0.35).GetMatrix()
DIRECTIONS = {
    "axial": (1, 0, 0, 0, 1, 0, 0, 0, 1),
    "oblique": OBLIQUE,
    "left-handed": (-1, 0, 0, 0, 1, 0, 0, 0, 1),
    "sagittal left-handed oblique": tuple((np.reshape(OBLIQUE, (3, 3))[:, [1, 2, 0]] @ np.diag([1, -1, 1])).ravel()),
}


def opened(folder):
    return NnunetSegmenter(card_of(folder), folder, choose("cpu"))


def by_nnunet(folder, tmp_path, *images):
    """Segment from file to file by nnU-Net's own predictor, reader and writer."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    files = [str(tmp_path / f"case_{number:04d}.nii.gz") for number in range(len(images))]
    for image, file in zip(images, files, strict=True):
        sitk.WriteImage(image, file)
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    folds = sorted(path.name.removeprefix("fold_") for path in folder.glob("fold_*"))
    predictor.initialize_from_trained_model_folder(str(folder), folds, "checkpoint_final.pth")
    predictor.predict_from_files_sequential([files], [str(tmp_path / "by_nnunet")], save_probabilities=False)
    return sitk.ReadImage(str(tmp_path / "by_nnunet.nii.gz"))


def require_same(ours, theirs, values=(0, 1, 2)):
    assert Geometry.of(ours).same_as(Geometry.of(theirs), 1e-3)
    a, b = sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(theirs)
    for value in values:
        assert np.count_nonzero(b == value) > 200, f"class {value} hardly occurs: the comparison says nothing"
        overlap = 2 * np.count_nonzero((a == value) & (b == value))
        assert overlap / (np.count_nonzero(a == value) + np.count_nonzero(b == value)) >= 0.999


def from_file(image, tmp_path):
    """NIfTI keeps geometry in float32; both sides shall start from the same."""
    sitk.WriteImage(image, str(tmp_path / "image.nii"))
    return sitk.ReadImage(str(tmp_path / "image.nii"))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("reader", ["SimpleITKIO", "NibabelIOWithReorient"])
def test_labels_and_place_are_nnunets_own(make_folder, new_volume, tmp_path, direction, reader):
    folder = make_folder(reader=reader)
    image = from_file(new_volume(direction=DIRECTIONS[direction]), tmp_path)
    prediction = opened(folder).predict([image], silent)
    require_same(prediction.segmentation.labels, by_nnunet(folder, tmp_path, image))
    assert prediction.segmentation.geometry.same_as(Geometry.of(image))


@pytest.mark.parametrize(
    "options",
    [{"folds": 3}, {"trained": "2d"}, {"kind": "ResidualEncoderUNet"}, {"channels": {"0": "T1", "1": "FLAIR"}}],
    ids=str,
)
def test_folds_configurations_architectures_and_channels(make_folder, new_volume, tmp_path, options):
    folder = make_folder(**options)
    images = [from_file(new_volume(seed=n), tmp_path) for n in range(len(options.get("channels", {"0": "CT"})))]
    prediction = opened(folder).predict(images, silent)
    require_same(prediction.segmentation.labels, by_nnunet(folder, tmp_path, *images))
    assert len(prediction.provenance.options["folds"]) == options.get("folds", 1)


def test_radiograph(make_folder, new_volume, tmp_path):
    folder = make_folder(trained="2d", turn=(0, 1, 2))
    image = new_volume(size=(60, 70), direction=(1, 0, 0, 1))
    require_same(opened(folder).predict([image], silent).segmentation.labels, by_nnunet(folder, tmp_path, image))


REGIONS = {"background": 0, "whole tumour": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}


def test_regions_overlap_as_layers(make_folder, new_volume, tmp_path):
    folder = make_folder(labels=REGIONS, regions=[1, 2, 3])
    image = from_file(new_volume(), tmp_path)
    segmentation = opened(folder).predict([image], silent).segmentation
    assert [(s.name, s.value, s.layer) for s in segmentation.segments] == [
        ("whole tumour", 1, 0),
        ("core", 1, 1),
        ("enhancing", 1, 2),
    ]
    theirs = sitk.GetArrayFromImage(by_nnunet(folder, tmp_path, image))
    whole, core, enhancing = (segmentation.mask(s) for s in segmentation.segments)
    np.testing.assert_array_equal(whole, theirs > 0)
    np.testing.assert_array_equal(core, theirs > 1)
    np.testing.assert_array_equal(enhancing, theirs == 3)
    assert enhancing.any()
    assert (whole & ~core).any()


def test_nothing_is_printed_and_progress_rises(make_folder, new_volume, capsys):
    folder = make_folder(folds=2)
    capsys.readouterr()
    seen = []
    opened(folder).predict([new_volume()], lambda fraction, text: (seen.append(fraction), print(text)))
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert seen == sorted(seen)
    assert len(seen) > 50
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == len(seen)  # what the caller prints in its progress, and nothing else
    assert printed.err == ""


@pytest.fixture
def many_torch_threads():
    """More threads than nnU-Net allows itself, so that one sees whether they are given back."""
    from nnunetv2.configuration import default_num_processes

    before = torch.get_num_threads()
    torch.set_num_threads(default_num_processes + 1)
    yield default_num_processes + 1
    torch.set_num_threads(before)


def test_nnunet_takes_no_more_threads_than_torch(make_folder):
    folder = make_folder()
    script = (
        "from pathlib import Path\n"
        "import torch\n"
        "torch.set_num_threads(3)\n"
        "from medseg.inference.device import choose\n"
        "from medseg.inference.nnunet import NnunetSegmenter, card_of\n"
        f"folder = Path({str(folder)!r})\n"
        "NnunetSegmenter(card_of(folder), folder, choose('cpu'))\n"
        "from nnunetv2.configuration import default_num_processes\n"
        "print(default_num_processes)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "nnUNet_def_n_proc"}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == "3\n"


def test_cancelling_stops_at_once_and_leaves_nothing_behind(make_folder, new_volume, many_torch_threads):
    segmenter = opened(make_folder())
    segmenter.predict([new_volume()], silent)
    before = threading.active_count()
    calls = iter(range(10_000))

    def cancel_in_the_middle(_fraction, _text):
        if next(calls) == 12:
            raise Cancelled

    with pytest.raises(Cancelled):
        segmenter.predict([new_volume(size=(80, 80, 60))], cancel_in_the_middle)
    assert threading.active_count() <= before
    assert torch.get_num_threads() == many_torch_threads
    segmenter.predict([new_volume()], silent)
    assert next(calls) == 13  # the cancelled case's progress is not called any more


def test_what_nnunet_prints_is_caught_and_a_fault_of_its_own_is_said(capsys):
    said = []

    def run_out_of_memory():
        with nnunet._quiet_and_tidy() as output:
            said.append(output)
            print("Prediction on device was unsuccessful")
            raise RuntimeError("no more memory\nat all")

    with pytest.raises(Failed, match="nnU-Net broke: no more memory"):
        run_out_of_memory()
    assert said[0].getvalue() == "Prediction on device was unsuccessful\n"
    assert capsys.readouterr().out == ""


def test_provenance(make_folder, new_volume):
    segmenter = opened(make_folder(folds=2))
    record = segmenter.predict([new_volume()], silent).provenance
    assert record.sha256 == segmenter.card.sha256
    assert "nnunetv2" in record.software
    assert record.options["configuration"] == "3d_fullres"
    assert record.options["folds"] == ["0", "1"]
    assert record.options["mirrored"] == 8


def test_wrong_number_of_channels(make_folder, new_volume):
    segmenter = opened(make_folder(channels={"0": "T1", "1": "FLAIR"}))
    with pytest.raises(BadInput, match=r"wants 2 image\(s\) \(T1, FLAIR\) but got 1"):
        segmenter.predict([new_volume()], silent)


# folders that must not be opened


class Malicious:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


def checkpoint_of(folder):
    return folder / "fold_0" / "checkpoint_final.pth"


def test_a_checkpoint_that_runs_code_is_refused_and_not_run(make_folder, tmp_path):
    folder, trace = make_folder(), tmp_path / "trace"
    content = torch.load(checkpoint_of(folder), weights_only=False)
    torch.save({**content, "logging": Malicious(trace)}, checkpoint_of(folder))
    with pytest.raises(BadInput, match="unpickling them would run code"):
        opened(folder)
    assert not trace.exists()
    torch.load(checkpoint_of(folder), weights_only=False)  # the trap does work
    assert trace.exists()


def test_a_checkpoint_of_something_else(make_folder):
    folder = make_folder()
    torch.save({"model": {}}, checkpoint_of(folder))
    with pytest.raises(BadInput, match="no checkpoint of nnU-Net"):
        opened(folder)


def test_weights_of_another_network(make_folder):
    folder = make_folder()
    edit(folder, lambda plans: architecture(plans)["arch_kwargs"].update(features_per_stage=[8, 16]))
    with pytest.raises(BadInput, match="nnU-Net cannot open"):
        opened(folder)


def edit(folder, change):
    plans = json.loads((folder / "plans.json").read_text())
    change(plans)
    (folder / "plans.json").write_text(json.dumps(plans))


def architecture(plans):
    return plans["configurations"]["3d_fullres"]["architecture"]


FOREIGN = {
    "class": lambda p: architecture(p).update(network_class_name="os.system"),
    "attribute": lambda p: architecture(p).update(
        network_class_name="dynamic_network_architectures.architectures.unet.np.load"
    ),
    "argument": lambda p: architecture(p)["arch_kwargs"].update(nonlin="os.system"),
    "argument by attribute": lambda p: architecture(p)["arch_kwargs"].update(
        nonlin="torch.nn.modules.module.torch.load"
    ),
    "import of an import": lambda p: architecture(p)["arch_kwargs"].update(nonlin="torch.nn.modules.module.namedtuple"),
    "preprocessor": lambda p: p["configurations"]["3d_fullres"].update(preprocessor_name="load_pickle"),
    "resampling": lambda p: p["configurations"]["3d_fullres"].update(resampling_fn_seg="partial"),
    "normalization": lambda p: p["configurations"]["3d_fullres"].update(normalization_schemes=["ABC"]),
    "label manager": lambda p: p.update(label_manager="join"),
    "missing": lambda p: p["configurations"]["3d_fullres"].pop("preprocessor_name"),
}


@pytest.mark.parametrize("change", FOREIGN)
def test_plans_that_name_something_foreign_are_refused(make_folder, change):
    folder = make_folder()
    edit(folder, FOREIGN[change])
    with pytest.raises(BadInput, match=r"plans\.json is refused: .* which is not nnU-Net's own"):
        opened(folder)


def test_plans_do_not_get_a_foreign_module_imported(make_folder, tmp_path, monkeypatch):
    (tmp_path / "evil_networks.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    folder = make_folder()
    edit(folder, lambda plans: architecture(plans).update(network_class_name="evil_networks.Net"))
    with pytest.raises(BadInput, match="not nnU-Net's own"):
        opened(folder)
    assert not (tmp_path / "trace").exists()


def test_the_second_stage_of_a_cascade_is_refused(make_folder):
    folder = make_folder()
    content = torch.load(checkpoint_of(folder), weights_only=False)
    content["init_args"]["configuration"] = "3d_cascade_fullres"
    torch.save(content, checkpoint_of(folder))
    with pytest.raises(BadInput, match="second stage of a cascade"):
        opened(folder)


def test_folds_of_different_configurations_are_refused(make_folder):
    folder = make_folder(folds=2)
    content = torch.load(checkpoint_of(folder), weights_only=False)
    content["init_args"]["configuration"] = "2d"
    torch.save(content, checkpoint_of(folder))
    with pytest.raises(BadInput, match=r"different configurations: \['2d', '3d_fullres'\]"):
        opened(folder)


def test_a_configuration_that_inherits_from_itself(make_folder):
    folder = make_folder()
    edit(folder, lambda plans: plans["configurations"]["3d_fullres"].update(inherits_from="3d_fullres"))
    with pytest.raises(BadInput, match="inherits from itself"):
        opened(folder)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"])
def test_any_change_after_the_card_was_made_is_refused(make_folder, name):
    folder = make_folder()
    card = card_of(folder)
    with (folder / name).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(BadInput, match="not the folder that card dataset901_tiny-3d_fullres describes"):
        NnunetSegmenter(card, folder, choose("cpu"))


# without nnU-Net: the card, and what is missing


@pytest.fixture
def bare_folder(tmp_path):
    """A folder with all that a card needs; its weights are never opened."""
    folder = tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    for fold in (0, 1):
        (folder / f"fold_{fold}").mkdir(parents=True)
        (folder / f"fold_{fold}" / "checkpoint_final.pth").write_bytes(b"weights")
    dataset = {
        "channel_names": {"1": "FLAIR", "0": "T1"},
        "labels": {"background": 0, "lesion": 1, "ignore": 2},
        "name": "MS lesions",
        "licence": "CC-BY-4.0",
        "reference": "A hospital",
    }
    (folder / "dataset.json").write_text(json.dumps(dataset))
    (folder / "plans.json").write_text(json.dumps({"dataset_name": "Dataset001_MS", "configurations": {}}))
    return folder


def test_the_card_says_what_the_folder_says_and_fits_the_schema(bare_folder):
    from medseg.engines import cards

    card = card_of(bare_folder)
    assert (card.name, card.engine, card.license) == ("ms-lesions-3d_fullres", "nnunet", "CC-BY-4.0")
    assert [channel.name for channel in card.inputs] == ["T1", "FLAIR"]
    assert [(s.name, s.value) for s in card.segments] == [("lesion", 1)]
    assert [w.file for w in card.weights] == ["fold_0/checkpoint_final.pth", "fold_1/checkpoint_final.pth"]
    assert cards.parse({"schema_version": 1, **json.loads(json.dumps(card.as_json()))}, "card") == card


def test_without_nnunet_the_user_is_told_how_to_install_it(bare_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "nnunetv2", None)
    for name in [name for name in sys.modules if name.startswith("nnunetv2.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(BadInput, match=r'ms-lesions-3d_fullres is an nnU-Net.*pip install "medseg\[nnunet\]"'):
        opened(bare_folder)


def drop_labels(dataset):
    del dataset["labels"]


def drop_channels(dataset):
    del dataset["channel_names"]


@pytest.mark.parametrize("change", [drop_labels, drop_channels, lambda dataset: dataset["labels"].pop("lesion")])
def test_a_dataset_file_that_lacks_something(bare_folder, change):
    dataset = json.loads((bare_folder / "dataset.json").read_text())
    change(dataset)
    (bare_folder / "dataset.json").write_text(json.dumps(dataset))
    with pytest.raises(BadInput, match=r"dataset\.json"):
        card_of(bare_folder)


@pytest.mark.parametrize("name", ["dataset.json", "plans.json"])
@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_missing_or_broken_json(bare_folder, name, content):
    (bare_folder / name).unlink() if content is None else (bare_folder / name).write_text(content)
    with pytest.raises(BadInput, match=name.replace(".", r"\.")):
        card_of(bare_folder)


def test_missing_weights(bare_folder):
    for fold in (0, 1):
        shutil.rmtree(bare_folder / f"fold_{fold}")
    with pytest.raises(BadInput, match=r"lacks weights: no fold_\*/checkpoint_final\.pth"):
        card_of(bare_folder)


def test_the_card_may_lie_beside_the_folder(make_folder, new_volume):
    folder = make_folder()
    card = card_of(folder)
    moved = replace(card, bundle={**card.bundle, "path": folder.name})
    assert NnunetSegmenter(moved, folder.parent, choose("cpu")).predict([new_volume()], silent).segmentation
