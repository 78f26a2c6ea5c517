"""From trained networks to a model card: weights in half precision, scores on cases never seen, calibration."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from safetensors.torch import save as as_safetensors

from medseg import fingerprints, metrics
from medseg.atomic import replacing
from medseg.geometry import Geometry
from medseg.inference import networks
from medseg.inference.device import Device, choose
from medseg.inference.torch_segmenter import TorchSegmenter
from medseg.metrics import LabelScores
from medseg.model_card import ModelCard, Weights
from medseg.progress import Progress, part, silent
from medseg.registrars.learned import loaded
from medseg.segmentation import Segmentation
from medseg.training import building, checkpoint, prepared, validation
from medseg.training.calibration import calibrate
from medseg.training.config import Part, TrainingConfig
from medseg.training.fit import BEST_FILE
from medseg.training.hardware import hardware
from medseg.training.records import HISTORY_FILE
from medseg.training.registration import scores as pair_scores
from medseg.training.samples import Data
from medseg.training.seeds import seed_of
from medseg.training.usual_input import usual_input

CARD_FILE = "card.json"
SCORES_FILE = "scores.json"
_SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class Member:
    """A trained network: its folder, its data, the file of weights that is shipped, and its number from 0."""

    folder: Path
    data: Data
    weights: Path
    number: int


@dataclass(frozen=True, eq=False)
class Trained:
    """A member with its shipped weights loaded, ready to be measured."""

    card: ModelCard
    config: TrainingConfig
    member: Member
    network: torch.nn.Module
    device: Device

    @property
    def segmenter(self) -> TorchSegmenter:
        """What a user of the card gets."""
        return TorchSegmenter(self.card, self.network, self.device)

    def fixed(self, which: Part) -> validation.Fixed:
        """Return the held-out samples of a part, the same as during the training."""
        samples = getattr(self.member.data, which)
        return validation.Fixed(samples, seed_of(self.config.seed, "member", self.member.number), which)


def finish(config: TrainingConfig, folder: Path, members: Sequence[tuple[Path, Data]], progress: Progress) -> Path:
    """Write weights, scores and card of a finished run; returns the card's path.

    Args:
        config: of the run.
        folder: of the run.
        members: the folder and the data of each network.
        progress: may raise `Cancelled`; what was trained stays.

    Raises:
        Failed: if the disk is full.
    """
    made = [Member(home, data, _shipped(home, folder, number), number) for number, (home, data) in enumerate(members)]
    card = replace(_named(config, made[0].data), weights=tuple(_entry(member) for member in made))
    device = choose(config.device)
    reports = []
    for member in made:
        report = part(progress, member.number / len(made), (member.number + 1) / len(made))
        load = loaded if config.registers else networks.build
        network = load(card, member.weights).to(device.device)
        reports.append(_measured(Trained(card, config, member, network, device), report))
    scores = {**reports[0], "members": reports} if len(reports) > 1 else reports[0]
    _write_json(scores, folder / SCORES_FILE)
    _write_json({"schema_version": _SCHEMA_VERSION, **replace(card, scores=scores).as_json()}, folder / CARD_FILE)
    return folder / CARD_FILE


def _named(config: TrainingConfig, data: Data) -> ModelCard:
    network = {"class": config.network["class"], "arguments": building.arguments(config)}
    counted = f"{len(data.training)} cases of the user's own; {len(data.validation)} more chose the best epoch"
    return replace(config.card(), network=network, training_data=config.training_data or counted)


def _shipped(home: Path, folder: Path, number: int) -> Path:
    """Write the best weights of a member in half precision; what does not fit into it stays as it is."""
    state = {key: _halved(value) for key, value in load_file(home / BEST_FILE).items()}
    path = folder / ("weights.safetensors" if number == 0 else f"weights-{number + 1}.safetensors")
    checkpoint.write(as_safetensors(state), path)
    return path


def _halved(value: torch.Tensor) -> torch.Tensor:
    half = value.half() if value.is_floating_point() else value
    return half if bool(torch.isfinite(half).all()) else value


def _entry(member: Member) -> Weights:
    stage = "main" if member.number == 0 else f"member-{member.number + 1}"
    return Weights(member.weights.name, fingerprints.of_file(member.weights), stage=stage)


def _measured(trained: Trained, progress: Progress) -> dict[str, Any]:
    history = json.loads((trained.member.folder / HISTORY_FILE).read_text(encoding="utf-8"))
    measured = [epoch for epoch in history if _goodness(epoch) is not None]
    best = max(measured, key=_goodness, default=None)
    keys = ("dice", "dice_of", "similarity") if trained.config.registers else ("dice", "dice_of")
    told = {
        "training": {"epochs": len(history), "seconds": round(sum(epoch["seconds"] for epoch in history), 1)},
        "validation": best and {"epoch": best["number"], **{key: best[key] for key in keys}},
    }
    if trained.config.registers:
        return {**told, "test": _registered(trained, progress)}
    return {
        **told,
        "calibration": _calibration(trained, part(progress, 0.0, 0.5)),
        "test": _tested(trained, part(progress, 0.5, 0.9)),
        **_usual(trained),
    }


def _goodness(epoch: Mapping[str, Any]) -> Any:
    return epoch["similarity"] if epoch["dice"] is None else epoch["dice"]


def _registered(trained: Trained, progress: Progress) -> dict[str, Any] | None:
    """Score the pairs of the test part."""
    computed = hardware(trained.device, "float32")
    found = pair_scores.scored(trained.network, trained.fixed("test"), computed, progress)
    return {"pairs": len(found), **pair_scores.mean(found)} if found else None


def _calibration(trained: Trained, progress: Progress) -> dict[str, Any]:
    how = trained.card.inference
    computed = hardware(trained.device, how.precision)
    return asdict(calibrate(validation.judged(trained.network, trained.fixed("validation"), how, computed, progress)))


def _usual(trained: Trained) -> dict[str, Any]:
    """Tell what input is usual, where images are drawn whole; patches of files are no images that a user has."""
    if not trained.member.data.whole_images:
        return {}
    seed = seed_of(trained.config.seed, "member", trained.member.number)
    found = usual_input(trained.network, trained.member.data.training, trained.card.inference, seed)
    return {"features": found} if found else {}


def _tested(trained: Trained, progress: Progress) -> dict[str, Any] | None:
    data = trained.member.data
    found: list[_Scored] = []
    for case in _on_files(trained) if data.held_out else _on_samples(trained):
        found.append(case)
        progress(min(1.0, len(found) / max(1, len(data.test))), f"scored {case[0]}")
    return _summary(found) if found else None


_Scored = tuple[str, float, Sequence[LabelScores]]


def _on_files(trained: Trained) -> Iterator[_Scored]:
    """Score files on their own grids, from image to segmentation as a user gets it."""
    for case in trained.member.data.held_out:
        images = prepared.read_images(case, trained.config)
        truth = prepared.reference(case, trained.config, Geometry.of(images[0]))
        began = time.monotonic()
        prediction = trained.segmenter.predict(images, silent)
        yield case.name, time.monotonic() - began, metrics.evaluate(prediction.segmentation, truth)


def _on_samples(trained: Trained) -> Iterator[_Scored]:
    """Score samples that have no files, on the network's grid."""
    spacing = trained.card.preprocessing.spacing or (1.0,) * len(trained.config.patch)
    for number, (image, labels) in enumerate(trained.fixed("test"), 1):
        began = time.monotonic()
        predicted = trained.segmenter.labels(image.cpu().numpy(), silent)
        seconds = time.monotonic() - began
        grid = _grid(labels.shape, spacing)
        found, truth = (
            Segmentation(grid.image(voxels.T.astype(np.int16)), trained.config.segments)
            for voxels in (predicted, labels.cpu().numpy())
        )
        yield f"sample {number}", seconds, metrics.evaluate(found, truth)


def _grid(size: Sequence[int], spacing: Sequence[float]) -> Geometry:
    dimension = len(size)
    return Geometry(tuple(size), tuple(spacing), (0.0,) * dimension, tuple(np.eye(dimension).ravel().tolist()))


def _summary(cases: Sequence[_Scored]) -> dict[str, Any]:
    """Return means over cases, for each segment and over segments, and each case's own scores."""
    names = list(dict.fromkeys(score.name for _, _, scores in cases for score in scores))
    by_segment = {
        name: metrics.mean_scores([s for _, _, scores in cases for s in scores if s.name == name]) for name in names
    }
    return {
        "cases": len(cases),
        "mean": metrics.mean_scores([score for _, _, scores in cases for score in scores]),
        "segments": by_segment,
        "seconds_a_case": round(sum(seconds for _, seconds, _ in cases) / len(cases), 3),
        "each": [{"case": name, **metrics.mean_scores(scores)} for name, _, scores in cases],
    }


def _write_json(values: Mapping[str, Any], path: Path) -> None:
    with replacing(path) as (draft,):
        draft.write_text(json.dumps(_finite(values), indent=1, allow_nan=False), encoding="utf-8")


def _finite(value: Any) -> Any:
    """Replace what JSON has no word for (a cross-entropy may be infinite) by null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
