"""Networks that learn to register, from a folder of images to a transform."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import small_head
from medseg.cli import main
from medseg.engines import cards
from medseg.engines.registrars_catalog import Options, open_registrar
from medseg.errors import BadInput, Notice
from medseg.geometry import Geometry
from medseg.progress import Cancelled, silent
from medseg.training import config_file
from medseg.training.registration.objective import PairLoss, moved_dice
from medseg.training.run import train
from medseg.training.samples import Nothing
from medseg.training.seeds import generator
from medseg.training.sources import open_data
from registration_phantoms import SMALL_TURN, errors, head, moved

STILL = sitk.Transform(3, sitk.sitkIdentity)
NETWORKS = {"VelocityUNet": {"channels": [8, 16, 16]}, "SymNet": {"width": 1}}


def pushed(seed: int) -> sitk.Transform:
    """A shift to the left or right, which few steps suffice to learn."""
    return sitk.TranslationTransform(3, (float(np.random.default_rng(seed).uniform(-20, 20)), 0.0, 0.0))


def write(folder: Path, count: int = 5, labelled: bool = False) -> Path:
    """Heads that lie in different places."""
    phantom = head(size=24, spacing=7.0)
    for number in range(count):
        image = moved(pushed(number), phantom)
        for kind, voxels in (("images", image), ("labels", sitk.Cast(image > 110, sitk.sitkUInt8))):
            (folder / kind).mkdir(exist_ok=True)
            if kind == "images" or labelled:
                sitk.WriteImage(voxels, str(folder / kind / f"head{number}.nii.gz"))
    return folder


def values(named="VelocityUNet", options=None, **changes):
    given = {"align": "none", "validation": ["head4"], **(options or {})}
    return {
        "name": "heads",
        "license": "MIT",
        "training_data": "Heads made by a test",
        "inputs": [{"name": "MR", "modality": "MR"}],
        "data": {"source": "registration", "folder": "images", "options": given},
        "preprocessing": {"spacing": [11, 11, 11]},
        "patch": [16, 16, 16],
        "network": {"class": named, "arguments": NETWORKS[named]},
        "loss": {"name": "registration", "options": {"smoothness": 0.05}},
        "optimiser": {"learning_rate": 0.005, "weight_decay": 0},
        "epochs": 1,
        "precision": "float32",
        "device": "cpu",
        **changes,
    }


def config(folder: Path, **changes):
    return config_file.parse(values(**changes), "test", folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that learned to lay heads on one another, from the command line."""
    folder = write(tmp_path_factory.mktemp("heads"), 16)
    options = {"validation": ["head4"], "test": ["head5", "head6"], "pairs": 36}
    told = values(options=options, epochs=4, schedule={"name": "cosine"})
    (folder / "heads.yaml").write_text(json.dumps(told))
    assert main(["train", str(folder / "heads.yaml"), "--json"]) == 0
    return folder / "heads"


def history(run: Path) -> list:
    return json.loads((run / "member-1" / "history.json").read_text())


def test_the_loss_falls_and_images_that_were_held_back_become_more_alike(run):
    epochs = history(run)
    assert epochs[-1]["loss"] < epochs[0]["loss"] - 0.05
    assert epochs[-1]["similarity"] > epochs[0]["similarity"]
    assert epochs[-1]["dice"] is None
    scores = cards.read(run / "card.json").scores
    assert scores["test"]["pairs"] == 2
    assert scores["test"]["similarity"] > scores["test"]["similarity_before"] + 0.05
    assert scores["validation"]["similarity"] == max(epoch["similarity"] for epoch in epochs)
    assert (run / "member-1" / "curves.png").is_file()
    assert not (run / "prepared").exists()


def test_a_head_that_it_never_saw_is_registered_better_than_not_at_all(run):
    engine = open_registrar("learned", Options(weights=str(run), device="cpu", linear="none"))
    before, after = [], []
    for seed in (101, 102, 103, 104):
        found, back = engine.register_both(moved(pushed(seed)), head(), silent)
        before.append(errors(STILL, pushed(seed)).mean())
        after.append(errors(found, pushed(seed)).mean())
        assert np.allclose(back.TransformPoint(found.TransformPoint((5.0, 9.0, 1.0))), (5, 9, 1), atol=1.5)
    assert np.mean(after) < 0.7 * np.mean(before)


def test_the_command_registers_with_what_the_command_trained(run, tmp_path, capsys):
    for name, image in (("fixed", moved(pushed(7))), ("moving", head())):
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    capsys.readouterr()
    sides = [str(tmp_path / f"{name}.nii.gz") for name in ("fixed", "moving")]
    more = ["--weights", str(run), "--linear", "none", "--device", "cpu", "--refine", "--json"]
    assert main(["register", *sides, "--engine", "learned", "--out", str(tmp_path / "t.h5"), *more]) == 0
    told = json.loads(capsys.readouterr().out)
    alike = told["measures"]["similarity"]
    assert alike["after"]["ncc"] > 0.99 > alike["before"]["ncc"] + 0.02
    assert told["measures"]["jacobian"]["non_positive_percent"] == 0


def test_a_training_that_was_cancelled_ends_with_the_same_weights(tmp_path):
    cfg = config(write(tmp_path, 4), named="SymNet", options={"validation": ["head3"]}, epochs=2, batch=2)
    train(cfg, tmp_path / "whole", silent)

    def until_the_second_epoch(_done: float, message: str) -> None:
        if message.startswith("epoch 2 of 2, step 2"):
            raise Cancelled

    with pytest.raises(Cancelled):
        train(cfg, tmp_path / "torn", until_the_second_epoch)
    train(cfg, tmp_path / "torn", silent, resume=True)
    assert len({(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "torn")}) == 1


def test_labels_are_learned_from_and_scored(tmp_path):
    folder = write(tmp_path, 3, labelled=True)
    told = {"validation": ["head2"], "labels": "labels"}
    loss = {"name": "registration", "options": {"similarity": "none", "dice": 1.0, "smoothness": 0.01}}
    segments = [{"value": 1, "name": "Bright"}]
    cfg = config(folder, options=told, segments=segments, loss=loss, epochs=2, steps_per_epoch=10)
    card = train(cfg, tmp_path / "run", silent)
    epochs = history(tmp_path / "run")
    assert epochs[-1]["loss"] < epochs[0]["loss"] - 0.02
    assert 0 < epochs[-1]["dice"] < 1
    assert epochs[-1]["dice_of"] == {"1": pytest.approx(epochs[-1]["dice"], abs=1e-4)}
    assert [segment.name for segment in cards.read(card).segments] == ["Bright"]


def test_every_image_is_laid_on_the_first_one_once(tmp_path):
    (tmp_path / "images").mkdir()
    for number, known in enumerate((STILL, SMALL_TURN, pushed(3))):
        sitk.WriteImage(moved(known), str(tmp_path / "images" / f"head{number}.nii.gz"))
    for align in ("none", "rigid"):
        data = open_data(
            config(tmp_path, options={"align": align, "validation": ["head2"]}), tmp_path / align, 0, silent
        )
        image = data.training.sample(0, generator(0)).image.numpy()
        apart = float(np.abs(image[0] - image[1]).mean())
        assert apart > 0.025 if align == "none" else apart < 0.01
    assert len(list((tmp_path / "rigid").glob("*.npy"))) == 3


def test_pairs_follow_the_seed_hold_two_images_and_each_is_augmented_on_its_own(tmp_path):
    changes = {"augmentation": {"rotation_degrees": 20, "probability": 1}, "options": {"pairs": 30}}
    data = open_data(config(write(tmp_path), **changes), tmp_path / "prepared", 0, silent)
    drawn, again = ([data.training.sample(n, generator(n)) for n in range(30)] for _ in range(2))
    assert len(data.training) == 30
    assert all(torch.equal(a.image, b.image) for a, b in zip(drawn, again, strict=True))
    assert all(sample.image.shape == (2, 16, 16, 16) and sample.labels.numel() == 0 for sample in drawn)
    assert all((sample.image[0] - sample.image[1]).abs().mean() > 0.01 for sample in drawn)
    assert not torch.equal(drawn[0].image[0], drawn[4].image[0])  # the same head, turned in another way
    assert len(data.validation) == 1
    assert torch.equal(data.validation.sample(0, generator(1)).image, data.validation.sample(0, generator(2)).image)
    assert isinstance(data.test, Nothing)
    assert data.about["validation"] == ["head4"]


def test_without_names_whole_images_are_held_back_by_the_split(tmp_path):
    cfg = config(write(tmp_path), options={"validation": []}, split={"validation": 0.2, "test": 0.2})
    data = open_data(cfg, tmp_path / "prepared", 0, silent)
    told = [set(data.about[part]) for part in ("training", "validation", "test")]
    assert [len(part) for part in told] == [3, 1, 1]
    assert len(set.union(*told)) == 5


def test_pairs_are_drawn_from_label_maps(tmp_path):
    for name, voxels in (("maps/{}.nii.gz", small_head.numbers()), ("parts/{}_parts.nii.gz", small_head.brain_parts())):
        image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.T))
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
        for number in range(3):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            sitk.WriteImage(image, str(tmp_path / name.format(number)))
    source = {"source": "registration_label_maps", "folder": "maps"}
    options = {"parts": "parts", "validation": ["0"], "merged": ["cerebral white matter", "cortical grey matter"]}
    drawn = {
        "data": {**source, "options": options},
        "segments": [{"value": 1, "name": "White"}, {"value": 2, "name": "Grey"}],
        "preprocessing": {"orientation": "RAS", "spacing": [2, 2, 2]},
        "loss": {"name": "registration", "options": {"similarity": "none", "dice": 1}},
        "steps_per_epoch": 1,
    }
    pair = open_data(config(tmp_path, **drawn), tmp_path, 0, silent).training.sample(0, generator(1))
    assert pair.image.shape == pair.labels.shape == (2, 16, 16, 16)
    assert not torch.equal(pair.image[0], pair.image[1])
    assert set(pair.labels.unique().tolist()) <= {0, 1, 2}
    train(config(tmp_path, **drawn), tmp_path / "run", silent)
    assert history(tmp_path / "run")[0]["dice"] > 0
    with pytest.raises(BadInput, match="drawn in RAS with voxels of 2 mm"):
        open_data(config(tmp_path, **{**drawn, "preprocessing": {"spacing": [2, 2, 2]}}), tmp_path, 0, silent)
    sizes = {**source, "options": {**options, "sizes": [[16, 16, 16]]}}
    with pytest.raises(BadInput, match="leave it out"):
        open_data(config(tmp_path, **{**drawn, "data": sizes}), tmp_path, 0, silent)


class Answers(torch.nn.Module):
    """Says the same of all images: half of this displacement in voxels (i, j, k), from either."""

    voxels_a_unit = 1.0

    def __init__(self, field: torch.Tensor) -> None:
        super().__init__()
        self.field = field.flip(0)[None] / 2

    def forward(self, _fixed: torch.Tensor, _moving: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return -self.field, self.field


def pair_and_truth():
    """A moving ball, the fixed one that lies 2 voxels further along i, and the displacement that says so."""
    places = torch.stack(torch.meshgrid(*[torch.arange(20.0)] * 3, indexing="ij"))
    balls = [torch.exp(-((places - middle.view(3, 1, 1, 1)) ** 2).sum(0) / 12) for middle in
             (torch.tensor([8.0, 10, 10]), torch.tensor([10.0, 10, 10]))]  # fmt: skip
    field = torch.zeros(3, 20, 20, 20)
    field[0] = 2.0
    return torch.stack(balls)[None], field


@pytest.mark.parametrize("similarity", ["lncc", "ncc", "mi", "mind"])
def test_the_true_displacement_has_the_least_loss(similarity):
    images, field = pair_and_truth()
    loss = PairLoss(similarity, smoothness=0, magnitude=0)
    none = torch.zeros(1, 2, 0, 0, 0, dtype=torch.int64)
    right, still, wrong = (float(loss(Answers(f), images, none, 0.0)) for f in (field, 0 * field, -field))
    assert right < still < wrong


def test_bending_folds_and_unevenness_cost(monkeypatch):
    images, _ = pair_and_truth()
    none = torch.zeros(1, 2, 0, 0, 0, dtype=torch.int64)
    rough = 4 * torch.randn(3, 20, 20, 20, generator=torch.Generator().manual_seed(0))

    def cost(network, **weights):
        given = {"smoothness": 0.0, "orientation": 0.0, "magnitude": 0.0, **weights}
        without, weighed = PairLoss("ncc", 0, 0, 0), PairLoss("ncc", **given)
        return float(weighed(network, images, none, 0.0) - without(network, images, none, 0.0))

    assert cost(Answers(rough), smoothness=1) > 0.1
    assert cost(Answers(rough), orientation=1) > 0.01
    assert cost(Answers(0 * rough + 1), orientation=1) == 0
    assert cost(Answers(rough), magnitude=1) == pytest.approx(0, abs=1e-6)
    uneven = Answers(rough)
    monkeypatch.setattr(uneven, "forward", lambda *_: (0 * uneven.field, uneven.field))
    assert cost(uneven, magnitude=1) > 0.1


def test_the_dice_of_moved_labels_is_that_of_the_overlap():
    images, field = pair_and_truth()
    labels = (images > 0.5).long().permute(0, 1, 4, 3, 2)
    right, still = (float(moved_dice(labels, f.permute(0, 3, 2, 1)[None].contiguous())) for f in (field, 0 * field))
    assert right == pytest.approx(1.0)
    both = (labels[:, 0] * labels[:, 1]).sum()
    assert still == pytest.approx(float(2 * both / labels.sum()), abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"options": {"nose": 1}}, "no nose"),
        ({"options": {"align": "bent"}}, "unknown data/options/align 'bent'"),
        ({"options": {"measure": "lncc"}}, "unknown data/options/measure"),
        ({"options": {"validation": ["head9"]}}, "no image is called head9"),
        ({"options": {"validation": ["head1", "head2", "head3", "head4"]}}, "leaves one image to train on"),
        ({"options": {"labels": "labels"}}, "belong together"),
        ({"segments": [{"value": 1, "name": "Bright"}]}, "belong together"),
        ({"options": {"labels": "gone"}, "segments": [{"value": 1, "name": "Bright"}]}, "no label map called head0"),
        ({"data": {"source": "registration", "folder": "gone"}}, "is no folder"),
        ({"network": {"class": "UNet"}}, "no registration network 'UNet'"),
        ({"network": {"class": "SymNet"}, "patch": [20, 16, 16]}, "SymNet wants three edges, multiples of 16"),
        ({"preprocessing": {"intensity": [{"scale": 2}]}}, "scales images itself"),
        ({"loss": {"name": "dice"}, "segments": [{"value": 1, "name": "Bright"}]}, "set loss/name: registration"),
    ],
)
def test_configurations_that_contradict_themselves_are_bad_input(tmp_path, changes, why):
    with pytest.raises(BadInput, match=why):
        open_data(config(write(tmp_path), **changes), tmp_path / "prepared", 0, silent)


def test_arguments_that_a_network_or_the_loss_does_not_take_are_bad_input(tmp_path):
    folder = write(tmp_path, 3)
    wrong = {"network": {"class": "SymNet", "arguments": {"depth": 3}}, "patch": [16, 16, 16]}
    for changes, why in (
        (wrong, "SymNet does not take"),
        ({"loss": {"name": "registration", "options": {"similarity": "mse"}}}, "similarity is one of"),
        ({"loss": {"name": "registration", "options": {"similarity": "none"}}}, "give dice a weight"),
    ):
        with pytest.raises(BadInput, match=why):
            train(config(folder, options={"validation": ["head2"]}, **changes), tmp_path / why[:6].strip(), silent)


def spoilt(kind: str, folder: Path) -> None:
    """Make the second image of a folder one that cannot be used."""
    path = folder / "images" / "head1.nii.gz"
    image = sitk.ReadImage(str(path))
    if kind == "constant":
        sitk.WriteImage(image * 0 + 7, str(path))
    elif kind == "elsewhere":
        image.SetOrigin([9000.0, 0.0, 0.0])
        sitk.WriteImage(image, str(path))
    elif kind == "no numbers":
        image[1, 1, 1] = float("nan")
        sitk.WriteImage(image, str(path))
    elif kind == "other grid":
        labels = folder / "labels" / "head1.nii.gz"
        sitk.WriteImage(sitk.ReadImage(str(labels))[2:], str(labels))


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("constant", r"head1\.nii\.gz: is constant: every voxel is 7"),
        ("elsewhere", r"head1\.nii\.gz does not lie where the other images do"),
        ("no numbers", r"head1\.nii\.gz: has voxels that are NaN"),
        ("other grid", r"labels/head1\.nii\.gz and .*images/head1\.nii\.gz lie on different grids"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(tmp_path, kind, why):
    folder = write(tmp_path, 3, labelled=True)
    spoilt(kind, folder)
    told = {"options": {"validation": ["head2"]}}
    if kind == "other grid":
        told = {"options": {"validation": ["head2"], "labels": "labels"}, "segments": [{"value": 1, "name": "Bright"}]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        with pytest.raises(BadInput, match=why):
            open_data(config(folder, **told), tmp_path / "prepared", 0, silent)


def test_pictures_among_volumes_and_a_folder_of_one_image_are_bad_input(tmp_path):
    folder = write(tmp_path, 1)
    with pytest.raises(BadInput, match="holds 1 image"):
        open_data(config(folder, options={"validation": []}), tmp_path / "prepared", 0, silent)
    for number in (1, 2):
        picture = sitk.Cast(sitk.RescaleIntensity(head(2, 40 + number)), sitk.sitkUInt8)
        sitk.WriteImage(picture, str(folder / "images" / f"head{number}.png"))
    with pytest.raises(BadInput, match=r"head1\.png is 2D; a registration network is trained on volumes"):
        open_data(config(folder, options={"validation": ["head2"]}), tmp_path / "prepared", 0, silent)


def test_images_on_different_grids_are_brought_onto_one(tmp_path):
    folder = write(tmp_path, 3)
    path = folder / "images" / "head1.nii.gz"
    image = sitk.ReadImage(str(path))
    grid = Geometry.of(image).respaced((5.0, 6.0, 9.0))
    sitk.WriteImage(moved(STILL, image, grid), str(path))
    finer = open_data(config(folder, options={"validation": ["head2"]}), tmp_path / "fine", 0, silent)
    sitk.WriteImage(image, str(path))
    plain = open_data(config(folder, options={"validation": ["head2"]}), tmp_path / "plain", 0, silent)
    one, other = (data.training.sample(1, generator(0)).image[0] for data in (finer, plain))
    assert float((one - other).abs().mean()) < 0.02
