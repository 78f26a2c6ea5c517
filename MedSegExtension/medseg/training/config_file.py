"""Reading a training configuration: YAML, checked by a schema, every fault named with its file and key."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from referencing import Registry, Resource

from medseg import resources
from medseg.errors import BadInput
from medseg.model_card import Channel, segment_of
from medseg.segmentation import PALETTE
from medseg.training.config import (
    Augmentation,
    DataConfig,
    Loss,
    Optimiser,
    Schedule,
    Split,
    Start,
    TrainingConfig,
)

_CARD_SCHEMA = "model-card.schema.json"
_PARTS: Mapping[str, type] = {
    "data": DataConfig,
    "split": Split,
    "augmentation": Augmentation,
    "start": Start,
    "loss": Loss,
    "optimiser": Optimiser,
    "schedule": Schedule,
}


def read(path: Path) -> TrainingConfig:
    """Read and check a configuration.

    Raises:
        BadInput: if it is missing, no YAML, or breaks the schema; the message names the file and the key.
    """
    return parse(yaml_values(path, "training configuration"), str(path), path.resolve().parent)


def yaml_values(path: Path, kind: str) -> Any:
    """Read a YAML file; `kind` is what to call it in messages.

    Raises:
        BadInput: if it is missing or no YAML.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Yaml)  # noqa: S506  (a SafeLoader)
    except OSError as fault:
        raise BadInput(f"{kind} {path} cannot be read: {fault.strerror}") from fault
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        raise BadInput(f"{kind} {path} is not YAML: {' '.join(str(fault).split())}") from fault


def parse(values: Any, name: str, folder: Path) -> TrainingConfig:
    """Build a configuration from plain values; `name` is what to call it in messages, `folder` where paths start.

    Raises:
        BadInput: if the values break the schema or contradict each other.
    """
    fault = jsonschema.exceptions.best_match(_validator().iter_errors(values))
    if fault is not None:
        where = "/".join(map(str, fault.absolute_path)) or "the top level"
        raise BadInput(f"training configuration {name} is wrong at {where}: {fault.message}")
    config = _built(values, folder, name)
    _check_consistent(config, name)
    return config


def _built(values: Mapping[str, Any], folder: Path, name: str) -> TrainingConfig:
    built: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    for key, kind in _PARTS.items():
        if key in values:
            built[key] = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values[key].items()})
    built["inputs"] = tuple(Channel(**channel) for channel in values["inputs"])
    colored = [{"color": PALETTE[n % len(PALETTE)], **s} for n, s in enumerate(values.get("segments", []))]
    _check_segments(colored, name)
    built["segments"] = tuple(segment_of(segment) for segment in colored)
    return TrainingConfig(**built, folder=folder)


def _check_segments(segments: list[dict[str, Any]], name: str) -> None:
    """Check the segments as those of a card, now that each has a colour."""
    schema = {"$ref": f"{_CARD_SCHEMA}#/properties/segments"}
    plain = json.loads(json.dumps(segments))
    fault = jsonschema.exceptions.best_match(_with_card_schema(schema).iter_errors(plain))
    if fault is not None:
        where = "/".join(map(str, fault.absolute_path))
        raise BadInput(f"training configuration {name} is wrong at segments/{where}: {fault.message}")


def _check_consistent(config: TrainingConfig, name: str) -> None:
    """Check what a schema cannot say."""
    values = [segment.value for segment in config.segments]
    if len(set(values)) != len(values):
        raise BadInput(f"training configuration {name} gives one value to two segments: {values}")
    if config.split.validation + config.split.test >= 1:
        raise BadInput(f"training configuration {name} leaves no patient to train on: split/validation + split/test")
    if config.split.folds and config.members > 1:
        raise BadInput(f"training configuration {name} asks for split/folds and members; choose one")
    if sum(map(bool, (config.start.card, config.start.weights, config.start.encoder))) > 1:
        raise BadInput(f"training configuration {name} names two starts; give one of card, weights and encoder")
    given = [value for value in config.data.mapping.values() if value and value not in values]
    if given:
        raise BadInput(f"training configuration {name}: data/mapping leads to {given}, which no segment has")


def _validator() -> Any:
    return _with_card_schema(json.loads(Path(__file__).with_name("config.schema.json").read_text(encoding="utf-8")))


def _with_card_schema(schema: Mapping[str, Any]) -> Any:
    card = json.loads((resources.shipped() / "Models" / _CARD_SCHEMA).read_text(encoding="utf-8"))
    registry: Registry[Any] = Registry().with_resource(_CARD_SCHEMA, Resource.from_contents(card))
    return jsonschema.Draft202012Validator(schema, registry=registry)


class _Yaml(yaml.SafeLoader):
    """YAML as people write it: 1e-3 is a number, and a key given twice is a mistake."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} twice", key.start_mark)
            seen.add(key.value)
        # keys become text, as in JSON: the schema knows no others
        return {str(key): value for key, value in super().construct_mapping(node, deep).items()}


# YAML 1.1, which PyYAML reads, takes 1e-3 for a word
_Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)
