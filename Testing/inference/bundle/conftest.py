"""Real bundles in MONAI's published layout, real volumes, and what MONAI itself makes of them."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medseg.inference import bundle_files
from medseg.inference.bundle import BundleSegmenter, card_of
from medseg.inference.device import choose
from medseg.progress import silent
from medseg.segmenter import Prediction

UNET = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [4, 8], "strides": [2], "norm": "batch"}
SPLEEN_AND_LIVER = {"0": "background", "1": "spleen", "2": "liver"}


@dataclass(frozen=True)
class BundleMaker:
    """Writes bundles below a folder."""

    below: Path

    def __call__(
        self,
        name: str = "spleen_ct_segmentation",
        network: dict[str, Any] | None = None,
        change: Callable[[dict[str, Any]], None] = lambda _config: None,
        channels: dict[str, str] | None = None,
        inputs: dict[str, str] | None = None,
        published: bool = False,
        extension: str = "json",
    ) -> Path:
        """Write a bundle: `published` has the expressions that the model zoo's bundles have, else there are none."""
        folder = self.below / name
        (folder / "configs").mkdir(parents=True)
        (folder / "models").mkdir()
        arguments = {**UNET, **(network or {})}
        config = published_config(arguments) if published else plain_config(arguments)
        change(config)
        write_config(folder / "configs" / f"inference.{extension}", config)
        metadata = metadata_of(channels or SPLEEN_AND_LIVER, inputs or {"0": "image"})
        (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
        (folder / "LICENSE").write_text("Apache License\nVersion 2.0, January 2004\n")
        torch.save(seeded_network(arguments).state_dict(), folder / "models" / "model.pt")
        return folder


@pytest.fixture
def make_bundle(tmp_path: Path) -> BundleMaker:
    return BundleMaker(tmp_path / "bundles")


def seeded_network(arguments: dict[str, Any]) -> torch.nn.Module:
    """A small untrained network, sharpened and balanced so that every class occurs in smooth noise."""
    from monai.networks.nets import UNet

    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(7)
        network = UNet(**arguments)
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.mul_(2.0) if value.ndim > 1 else value.add_(0.3 * torch.randn_like(value).abs())
        coarse = torch.rand(1, arguments["in_channels"], *[8] * arguments["spatial_dims"])
        outputs = network.eval()(torch.nn.functional.interpolate(coarse, scale_factor=4))
        *_, bias = network.parameters()
        bias -= outputs.transpose(0, 1).flatten(1).mean(1)
    return network


def plain_config(network: dict[str, Any]) -> dict[str, Any]:
    return {
        "bundle_root": ".",
        "image_key": "image",
        "network_def": {"_target_": "UNet", **network},
        "network": "@network_def",
        "preprocessing": {"_target_": "Compose", "transforms": preprocessing("@image_key")},
        "dataset": {"_target_": "Dataset", "data": [], "transform": "@preprocessing"},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [24, 24, 16], "sw_batch_size": 4, "overlap": 0.5},
        "postprocessing": {"_target_": "Compose", "transforms": postprocessing("@image_key")},
        "handlers": [{"_target_": "StatsHandler", "iteration_log": False}],
    }


def published_config(network: dict[str, Any]) -> dict[str, Any]:
    config = plain_config(network)
    config |= {
        "imports": ["$import glob", "$import os"],
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "/data",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network": "$@network_def.to(@device)",
        "evaluator": {"_target_": "SupervisedEvaluator", "network": "@network", "inferer": "@inferer", "amp": True},
        "checkpointloader": {
            "_target_": "CheckpointLoader",
            "load_path": "$@bundle_root + '/models/model.pt'",
            "load_dict": {"model": "@network"},
        },
        "initialize": ["$monai.utils.set_determinism(seed=123)", "$@checkpointloader(@evaluator)"],
        "run": ["$@evaluator.run()"],
    }
    return config


def preprocessing(key: str) -> list[dict[str, Any]]:
    return [
        {"_target_": "LoadImaged", "keys": key},
        {"_target_": "EnsureChannelFirstd", "keys": key},
        {"_target_": "Orientationd", "keys": key, "axcodes": "RAS"},
        {"_target_": "Spacingd", "keys": key, "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"},
        {
            "_target_": "ScaleIntensityRanged",
            "keys": key,
            "a_min": -57,
            "a_max": 164,
            "b_min": 0,
            "b_max": 1,
            "clip": True,
        },
        {"_target_": "EnsureTyped", "keys": key},
    ]


def postprocessing(key: str) -> list[dict[str, Any]]:
    return [
        {"_target_": "Activationsd", "keys": "pred", "softmax": True},
        {
            "_target_": "Invertd",
            "keys": "pred",
            "transform": "@preprocessing",
            "orig_keys": key,
            "nearest_interp": False,
        },
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        {"_target_": "SaveImaged", "keys": "pred", "output_dir": "eval"},
    ]


def metadata_of(channels: dict[str, str], inputs: dict[str, str]) -> dict[str, Any]:
    return {
        "version": "0.5.9",
        "name": "Spleen CT segmentation",
        "task": "Decathlon spleen segmentation",
        "description": "Volumetric (3D) segmentation of the spleen from CT image",
        "authors": "MONAI team",
        "copyright": "Copyright (c) MONAI Consortium",
        "data_source": "Task09_Spleen",
        "eval_metrics": {"mean_dice": 0.96},
        "intended_use": "This is an example, not to be used for diagnostic purposes",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "hounsfield",
                    "modality": "CT",
                    "num_channels": len(inputs),
                    "spatial_shape": ["16*n", "16*n", "16*n"],
                    "channel_def": inputs,
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": len(channels),
                    "channel_def": channels,
                }
            },
        },
    }


def write_config(path: Path, config: dict[str, Any]) -> None:
    import yaml

    path.write_text(json.dumps(config) if path.suffix == ".json" else yaml.safe_dump(config, sort_keys=False))


@pytest.fixture
def edit_config() -> Callable[[Path, Callable[[dict[str, Any]], None]], None]:
    """Change the inference.json of a bundle that is there already."""

    def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
        path = folder / "configs" / "inference.json"
        config = json.loads(path.read_text())
        change(config)
        write_config(path, config)

    return edit


ROTATED = sitk.VersorTransform((0.3, 0.8, 0.5), 0.35).GetMatrix()
# spacings in no simple ratio to the network's, else nearest voxels are ties that rounding decides
GRIDS = {
    "axial": ((1.0, 1.0, 1.0), (1, 0, 0, 0, 1, 0, 0, 0, 1)),
    "anisotropic": ((0.83, 1.13, 3.31), (1, 0, 0, 0, 1, 0, 0, 0, 1)),
    "oblique": ((1.17, 0.93, 2.13), ROTATED),
    "left-handed": ((1.09, 1.01, 1.73), (-1, 0, 0, 0, 1, 0, 0, 0, 1)),
    "sagittal left-handed oblique": (
        (1.03, 1.31, 1.97),
        tuple(np.reshape(ROTATED, (3, 3))[:, [1, 2, 0]] @ np.diag([1, -1, 1])),
    ),
}


def volume(grid: str = "axial", size: tuple[int, ...] = (38, 42, 26), seed: int = 3) -> sitk.Image:
    """Smooth blobs of CT-like values on a grid."""
    spacing, direction = GRIDS[grid]
    rng = np.random.default_rng(seed)
    noise = sitk.GetImageFromArray(rng.normal(0, 1, size[::-1]).astype(np.float32))
    image = sitk.RescaleIntensity(sitk.SmoothingRecursiveGaussian(noise, 2.5), -150, 250)
    image.SetSpacing(spacing)
    image.SetOrigin((-31.0, 17.5, 44.25))
    image.SetDirection(np.ravel(direction).tolist())
    return image


@pytest.fixture
def new_volume(tmp_path: Path) -> Callable[..., sitk.Image]:
    """A volume as it comes from a NIfTI file, which keeps its geometry in float32."""

    def from_file(*arguments: Any, **options: Any) -> sitk.Image:
        image = volume(*arguments, **options)
        sitk.WriteImage(image, str(tmp_path / "volume.nii"))
        return sitk.ReadImage(str(tmp_path / "volume.nii"))

    return from_file


@pytest.fixture
def new_volume_in_memory() -> Callable[..., sitk.Image]:
    """A volume that never was in a file: its geometry has all digits."""
    return volume


@pytest.fixture(params=GRIDS)
def any_grid(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def segment() -> Callable[..., Prediction]:
    """Segment by our engine: describe the bundle, open it, predict."""

    def run(folder: Path, *images: sitk.Image, trust: bool = False) -> Prediction:
        return open_bundle(folder, trust).predict(images, silent)

    return run


def open_bundle(folder: Path, trust: bool = False) -> BundleSegmenter:
    trusted = bundle_files.fingerprint(folder) if trust else ""
    return BundleSegmenter(card_of(bundle_files.read(folder), trusted), folder, choose("cpu"))


@pytest.fixture
def open_() -> Callable[..., BundleSegmenter]:
    return open_bundle


@pytest.fixture
def by_monai(tmp_path: Path) -> Callable[..., sitk.Image]:
    """Segment by MONAI alone: its parser, loader, inferer and saver, from file to file."""

    def run(folder: Path, *images: sitk.Image) -> sitk.Image:
        files = [tmp_path / f"case_{number}.nii.gz" for number in range(len(images))]
        for image, file in zip(images, files, strict=True):
            sitk.WriteImage(image, str(file))
        return _run_monai(folder, files, tmp_path / "by_monai")

    return run


@torch.no_grad()
def _run_monai(folder: Path, files: list[Path], out: Path) -> sitk.Image:
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(next((folder / "configs").glob("inference.*"))))
    parser["bundle_root"] = str(folder)
    _save_to(parser, out)
    network = parser.get_parsed_content("network")
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    names = [str(file) for file in files]
    data = parser.get_parsed_content("preprocessing")({"image": names if len(names) > 1 else names[0]})
    data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network.eval())[0]
    parser.get_parsed_content("postprocessing")(data)
    return sitk.ReadImage(str(next(out.rglob("*.nii.gz"))))


def _save_to(parser: Any, out: Path) -> None:
    transforms = copy.deepcopy(parser["postprocessing"]["transforms"])
    transforms[-1]["output_dir"] = str(out)
    parser["postprocessing"]["transforms"] = transforms


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.fixture
def same() -> Callable[[sitk.Image, sitk.Image, list[int]], None]:
    """Check that two label images lie on one grid and that each class agrees, and is not empty."""

    def check(ours: sitk.Image, theirs: sitk.Image, values: list[int]) -> None:
        assert ours.GetSize() == theirs.GetSize()
        for name in ("GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(ours, name)(), getattr(theirs, name)(), atol=1e-4, err_msg=name)
        a, b = sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(theirs)
        for value in values:
            assert np.count_nonzero(b == value) > 200, f"class {value} hardly occurs: the comparison says nothing"
            assert dice(a == value, b == value) >= 0.999, f"class {value}"

    return check
