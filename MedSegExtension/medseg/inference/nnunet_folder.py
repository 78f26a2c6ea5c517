"""An nnU-Net v2 result folder on disk: its files, its card, and whether it is safe to open.

nnU-Net unpickles checkpoints without restraint and makes whatever class `plans.json` names, so both are checked here
before nnU-Net sees them. The folder is the one that `nnUNetv2_train` writes: `dataset.json`, `plans.json` and
`fold_*/checkpoint_final.pth`.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg import fingerprints
from medseg.errors import BadInput
from medseg.inference import bundle_weights
from medseg.model_card import Channel, Inference, ModelCard, Weights
from medseg.segmentation import PALETTE, Segment

CHECKPOINT = "checkpoint_final.pth"

_ARCHITECTURES = ("dynamic_network_architectures", "torch.nn")


@dataclass(frozen=True)
class Region:
    """A structure that nnU-Net was trained on: its name and the labels that make it up."""

    name: str
    labels: tuple[int, ...]


@dataclass(frozen=True)
class ResultFolder:
    """A result folder and what its two JSON files say."""

    folder: Path
    dataset: Mapping[str, Any]
    plans: Mapping[str, Any]

    @property
    def folds(self) -> tuple[str, ...]:
        """The folds that were trained to the end: "0" to "4", or "all".

        Raises:
            BadInput: if there is none.
        """
        names = sorted(path.parent.name for path in self.folder.glob(f"fold_*/{CHECKPOINT}"))
        if not names:
            raise BadInput(f"{self.folder} lacks weights: no fold_*/{CHECKPOINT}; copy the folds of the training too")
        return tuple(name.removeprefix("fold_") for name in names)

    @property
    def checkpoints(self) -> tuple[Path, ...]:
        """The weights of each fold."""
        return tuple(self.folder / f"fold_{fold}" / CHECKPOINT for fold in self.folds)

    @property
    def regions(self) -> tuple[Region, ...]:
        """The structures, in the order of the file, without background and the label that was ignored in training."""
        labels = {name: _labels(value) for name, value in self.dataset["labels"].items() if name != "ignore"}
        return tuple(Region(name, value) for name, value in labels.items() if value and value != (0,))

    @property
    def overlapping(self) -> bool:
        """Whether structures are unions of labels (region-based training), so that they may overlap."""
        return any(len(region.labels) > 1 for region in self.regions)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all files that the result depends on."""
        files = (self.folder / "dataset.json", self.folder / "plans.json", *self.checkpoints)
        return fingerprints.of_files(self.folder, files)


def read(folder: Path) -> ResultFolder:
    """Read a result folder.

    Raises:
        BadInput: if one of its JSON files is missing or broken.
    """
    found = ResultFolder(folder, _json(folder, "dataset.json"), _json(folder, "plans.json"))
    if not isinstance(found.dataset.get("labels"), dict) or not _channels(found.dataset):
        raise BadInput(f"{folder / 'dataset.json'} lacks labels or channel_names; is it of nnU-Net version 2?")
    if not found.regions:
        raise BadInput(f"{folder / 'dataset.json'} names no structure beside the background")
    return found


def card_of(folder: Path) -> ModelCard:
    """Describe a result folder as a model card; nnU-Net need not be installed.

    Raises:
        BadInput: if the folder is incomplete.
    """
    found = read(folder.resolve())
    says = found.dataset
    title = str(says.get("name") or found.plans.get("dataset_name") or found.folder.name)
    slug = f"{title}-{found.folder.name.rpartition('__')[2]}".lower()
    return ModelCard(
        name=re.sub(r"[^a-z0-9._-]+", "-", slug).strip("._-")[:64] or "nnunet",
        version=str(says.get("release") or "unknown"),
        title=title,
        description=str(says.get("description") or f"nnU-Net {found.folder.name}"),
        engine="nnunet",
        license=str(says.get("licence") or says.get("license") or "unknown"),
        source=str(says.get("reference") or "unknown"),
        intended_use="not stated by its authors; not for diagnosis",
        inputs=tuple(Channel(name) for name in _channels(says)),
        segments=_segments(found),
        weights=tuple(_weights(found, number) for number in range(len(found.folds))),
        inference=Inference(classes=len(found.regions) + (0 if found.overlapping else 1)),
        bundle={"path": str(found.folder), "sha256": found.fingerprint},
    )


def require_safe(found: ResultFolder) -> str:
    """Check all that nnU-Net would run or unpickle; return the configuration that was trained, e.g. "3d_fullres".

    Raises:
        BadInput: if a checkpoint holds more than data, is incomplete, or the plans name something foreign.
    """
    names = {_configuration(path) for path in found.checkpoints}
    if len(names) != 1:
        raise BadInput(f"{found.folder}: its folds were trained in different configurations: {sorted(names)}")
    configuration = _merged(found, name := names.pop())
    if configuration.get("previous_stage"):
        raise BadInput(
            f"{found.folder}: configuration {name} is the second stage of a cascade and needs the result of the first; "
            "use a 3d_fullres or 2d model"
        )
    for what, wanted in _named(found, configuration):
        if not _is_known(wanted):
            raise BadInput(
                f"{found.folder / 'plans.json'} is refused: {what} is {wanted!r}, which is not nnU-Net's own"
            )
    return name


def _merged(found: ResultFolder, name: str) -> Mapping[str, Any]:
    """Return a configuration with what it inherits."""
    configurations = found.plans.get("configurations", {})
    merged: dict[str, Any] = {}
    seen: list[str] = []
    while name:
        if name in seen or not isinstance(configurations.get(name), dict):
            raise BadInput(f"{found.folder / 'plans.json'} has no configuration {name!r}, or it inherits from itself")
        seen.append(name)
        merged = {**configurations[name], **merged}
        name = str(configurations[name].get("inherits_from") or "")
    return merged


def _named(found: ResultFolder, configuration: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what the plans let nnU-Net look up by name: (key, full name)."""
    architecture = configuration.get("architecture") or {}
    if architecture:
        yield "architecture/network_class_name", str(architecture.get("network_class_name"))
    for key in architecture.get("_kw_requires_import", ()):
        if (value := architecture.get("arch_kwargs", {}).get(key)) is not None:
            yield f"architecture/arch_kwargs/{key}", str(value)
    yield "preprocessor_name", f"nnunetv2.preprocessing:{configuration.get('preprocessor_name')}"
    for key in ("resampling_fn_data", "resampling_fn_seg", "resampling_fn_probabilities"):
        yield key, f"nnunetv2.preprocessing.resampling:{configuration.get(key)}"
    for scheme in configuration.get("normalization_schemes", ()):
        yield "normalization_schemes", f"nnunetv2.preprocessing.normalization:{scheme}"
    yield "label_manager", f"nnunetv2.utilities.label_handling:{found.plans.get('label_manager', 'LabelManager')}"


def _is_known(name: str) -> bool:
    """Whether a name stands for a class or function defined in nnU-Net's or torch's own network code.

    `a.b.C` must be found in module `a.b` (nnU-Net walks through attributes, so `a.b.os.system` is `os.system`);
    `a.b:C` anywhere below package `a.b`, as nnU-Net searches it.
    """
    package, colon, plain = name.partition(":")
    if colon:
        return _is_defined_in(_searched(package, plain), "nnunetv2")
    module, _, plain = name.rpartition(".")
    if not any(module == own or module.startswith(own + ".") for own in _ARCHITECTURES):
        return False
    try:
        found = getattr(importlib.import_module(module), plain, None)
    except ModuleNotFoundError:
        return False
    return any(_is_defined_in(found, own) for own in _ARCHITECTURES)


def _searched(package: str, name: str) -> object:
    from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

    folder = Path(str(importlib.import_module("nnunetv2").__file__)).parent.joinpath(*package.split(".")[1:])
    return recursive_find_python_class(str(folder), name, package)


def _is_defined_in(found: object, package: str) -> bool:
    module = str(getattr(found, "__module__", ""))
    return callable(found) and (module == package or module.startswith(package + "."))


def _configuration(checkpoint: Path) -> str:
    content = bundle_weights.read_checkpoint(checkpoint)
    complete = isinstance(content, Mapping) and {"network_weights", "trainer_name", "init_args"} <= content.keys()
    if not complete or "configuration" not in content["init_args"]:
        raise BadInput(f"weights {checkpoint} are no checkpoint of nnU-Net version 2")
    return str(content["init_args"]["configuration"])


def _json(folder: Path, name: str) -> Mapping[str, Any]:
    path = folder / name
    if not path.is_file():
        raise BadInput(f"{folder} is no nnU-Net v2 result folder: it lacks {name}; give the folder with the folds")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as fault:
        raise BadInput(f"{path} is not JSON: {fault}; copy the model again") from fault
    if not isinstance(data, dict):
        raise BadInput(f"{path} is not a JSON object; copy the model again")
    return data


def _channels(dataset: Mapping[str, Any]) -> list[str]:
    names = dataset.get("channel_names") or dataset.get("modality") or {}
    return [str(names[key]) for key in sorted(names, key=int)] if isinstance(names, dict) else []


def _labels(value: object) -> tuple[int, ...]:
    return tuple(int(v) for v in value) if isinstance(value, list) else (int(str(value)),)


def _segments(found: ResultFolder) -> tuple[Segment, ...]:
    if found.overlapping:
        return tuple(Segment(1, r.name, PALETTE[n % len(PALETTE)], layer=n) for n, r in enumerate(found.regions))
    return tuple(Segment(r.labels[0], r.name, PALETTE[(r.labels[0] - 1) % len(PALETTE)]) for r in found.regions)


def _weights(found: ResultFolder, number: int) -> Weights:
    path = found.checkpoints[number]
    stage = f"fold_{found.folds[number]}" if number else "main"
    return Weights(path.relative_to(found.folder).as_posix(), fingerprints.of_file(path), stage=stage)
