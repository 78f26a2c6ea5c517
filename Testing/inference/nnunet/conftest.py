"""Real nnU-Net result folders: tiny networks with random weights, saved by nnU-Net's own trainer."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

LABELS = {"background": 0, "liver": 1, "tumour": 2}


def configuration(
    dimension: int, patch: list[int], spacing: list[float], kind: str = "PlainConvUNet"
) -> dict[str, Any]:
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    blocks = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}[kind]
    return {
        "data_identifier": "nnUNetPlans_x",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": patch,
        "spacing": spacing,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "batch_dice": False,
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{kind}",
            "arch_kwargs": {
                "n_stages": 2,
                "features_per_stage": [4, 8],
                "conv_op": f"torch.nn.modules.conv.Conv{dimension}d",
                "kernel_sizes": [[3] * dimension] * 2,
                "strides": [[1] * dimension, [2] * dimension],
                blocks: [1, 1],
                "n_conv_per_stage_decoder": [1],
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimension}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }


def plans(reader: str, kind: str, channels: int) -> dict[str, Any]:
    limits = {"max": 250.0, "min": -150.0, "percentile_00_5": -150.0, "percentile_99_5": 250.0}
    channel = {**limits, "mean": 0.0, "median": 0.0, "std": 60.0}
    return {
        "dataset_name": "Dataset901_Tiny",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [2.0, 1.0, 1.0],
        "original_median_shape_after_transp": [24, 40, 40],
        "image_reader_writer": reader,
        "configurations": {
            "2d": configuration(2, [16, 16], [1.5, 1.5], kind),
            "3d_lowres": configuration(3, [16, 16, 16], [3.0, 3.0, 3.0], kind),
            "3d_fullres": configuration(3, [16, 16, 16], [2.0, 1.5, 1.5], kind),
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        },
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(number): channel for number in range(channels)},
    }


@dataclass(frozen=True)
class FolderMaker:
    """Trains nothing: lets nnU-Net's trainer build its networks and save them."""

    below: Path
    made: list[Path] = field(default_factory=list)

    def __call__(
        self,
        labels: dict[str, Any] | None = None,
        regions: list[int] | None = None,
        channels: dict[str, str] | None = None,
        trained: str = "3d_fullres",
        folds: int = 1,
        reader: str = "SimpleITKIO",
        kind: str = "PlainConvUNet",
        turn: tuple[int, ...] = (1, 0, 2),
    ) -> Path:
        folder = self.below / f"nnUNetTrainer__nnUNetPlans__{trained}"
        folder.mkdir(parents=True)
        dataset = {
            "channel_names": channels or {"0": "CT"},
            "labels": labels or LABELS,
            "numTraining": 10,
            "file_ending": ".nii.gz",
            **({"regions_class_order": regions} if regions else {}),
        }
        (folder / "dataset.json").write_text(json.dumps(dataset))
        plan = plans(reader, kind, len(channels or "1")) | {"transpose_forward": turn, "transpose_backward": turn}
        for configuration_ in plan["configurations"].values():
            for key in ("normalization_schemes", "use_mask_for_norm"):
                if key in configuration_:
                    configuration_[key] *= len(dataset["channel_names"])
        (folder / "plans.json").write_text(json.dumps(plan))
        for fold in range(folds):
            _save_fold(folder, plan, dataset, trained, fold)
        return folder


def _save_fold(folder: Path, plan: dict[str, Any], dataset: dict[str, Any], trained: str, fold: int) -> None:
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    plan = {**json.loads(json.dumps(plan)), "continue_training": False}
    trainer = nnUNetTrainer(plan, trained, fold, dataset, torch.device("cpu"))
    trainer.network = _network(trainer, len(dataset["channel_names"]), seed=fold + 3)
    trainer.optimizer, _ = trainer.configure_optimizers()
    trainer.inference_allowed_mirroring_axes = tuple(range(len(trainer.configuration_manager.patch_size)))
    trainer.logger.log("train_losses", np.float32(0.5), 0)  # real checkpoints hold numpy's numbers
    trainer.logger.log("dice_per_class_or_region", [np.float64(0.5), np.float64(0.7)], 0)
    trainer._best_ema = np.float64(0.6)
    (folder / f"fold_{fold}").mkdir()
    trainer.save_checkpoint(str(folder / f"fold_{fold}" / "checkpoint_final.pth"))


def _network(trainer: Any, channels: int, seed: int) -> Any:
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    how, heads = trainer.configuration_manager, trainer.label_manager.num_segmentation_heads
    architecture = how.network_arch_class_name, how.network_arch_init_kwargs, how.network_arch_init_kwargs_req_import
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        network = get_network_from_plans(*architecture, channels, heads, deep_supervision=True)
        for value in network.state_dict().values():
            value.add_(0.3 * torch.randn_like(value))
        coarse = torch.rand(1, channels, *[8] * len(how.patch_size))
        outputs = network(torch.nn.functional.interpolate(coarse, scale_factor=4))
        outputs = outputs[0] if isinstance(outputs, list | tuple) else outputs
        # balanced, so that every class occurs in smooth noise
        network.decoder.seg_layers[-1].bias -= outputs.transpose(0, 1).flatten(1).mean(1)
    return network


@pytest.fixture
def make_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderMaker:
    os.environ.setdefault(
        "nnUNet_def_n_proc", str(os.cpu_count())
    )  # read when imported; its 8 are too many for 2 cores
    pytest.importorskip("nnunetv2", reason='nnU-Net is an optional extra: pip install "medseg[nnunet]"')
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))
    return FolderMaker(tmp_path / "Dataset901_Tiny")


@pytest.fixture
def new_volume() -> Callable[..., sitk.Image]:
    return volume


def volume(
    size: tuple[int, ...] = (28, 30, 18), direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1), seed: int = 3
) -> sitk.Image:
    """Smooth blobs of CT-like values."""
    rng = np.random.default_rng(seed)
    noise = sitk.GetImageFromArray(rng.normal(0, 1, size[::-1]).astype(np.float32))
    image = sitk.RescaleIntensity(sitk.SmoothingRecursiveGaussian(noise, 2.5), -150, 250)
    image.SetSpacing((1.07, 1.23, 2.61)[: len(size)])
    image.SetOrigin((-31.0, 17.5, 44.25)[: len(size)])
    image.SetDirection(np.ravel(direction).tolist())
    return image
