"""Model cards on disk: the shipped ones and the user's."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from medseg import resources
from medseg.errors import BadInput, Notice
from medseg.model_card import ModelCard

CARD_FILE = "card.json"


@dataclass(frozen=True)
class StoredCard:
    """A card, the file it came from, and whether it is the user's to remove."""

    card: ModelCard
    path: Path
    removable: bool

    @property
    def folder(self) -> Path:
        """The folder that the card's weights are relative to."""
        return self.path.parent


def read(path: Path) -> ModelCard:
    """Read and validate one card.

    Raises:
        BadInput: if the file is missing, no JSON, or breaks the schema; the message names the key.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise BadInput(f"model card {path} cannot be read: {fault.strerror}") from fault
    except ValueError as fault:
        raise BadInput(f"model card {path} is not JSON: {fault}") from fault
    return parse(data, str(path))


def parse(data: Mapping[str, Any], name: str) -> ModelCard:
    """Build a card from JSON values; `name` is what to call it in messages.

    Raises:
        BadInput: if the values break the schema or contradict each other.
    """
    fault = jsonschema.exceptions.best_match(_validator().iter_errors(data))
    if fault is not None:
        where = "/".join(map(str, fault.absolute_path)) or "the card"
        raise BadInput(f"model card {name} breaks the schema at {where}: {fault.message}")
    card = ModelCard.from_json(data)
    _check_consistent(card, name)
    return card


def listed() -> list[StoredCard]:
    """Return all cards, the user's before the shipped, each name once.

    A user's card that cannot be read is an error, not silence: the message names the file.
    """
    return _with_shipped([StoredCard(read(path), path, True) for path in _user_paths()])


def readable() -> list[StoredCard]:
    """Return what `listed` does, without the user's cards that cannot be read: a `Notice` names each of them."""
    user = [stored for path in _user_paths() if (stored := _read_or_tell(path))]
    return _with_shipped(user)


def find(name: str) -> StoredCard:
    """Return the card of this name.

    Raises:
        BadInput: if there is none; the message lists the names there are.
    """
    cards = {stored.card.name: stored for stored in listed()}
    if name not in cards:
        known = ", ".join(sorted(cards)) or "none"
        raise BadInput(f"unknown model {name!r}; installed: {known}. Add one with: medseg models add PATH")
    return cards[name]


def remove(name: str) -> Path:
    """Delete a user's model and its weights; returns the folder that went.

    Raises:
        BadInput: if there is no such model, or it came with the installation.
    """
    stored = find(name)
    if not stored.removable:
        raise BadInput(f"model {name} came with the installation and cannot be removed")
    shutil.rmtree(stored.folder)
    return stored.folder


def models_folder() -> Path:
    """Return where the user's models are kept, one folder each."""
    return resources.user_folder() / "models"


def _user_paths() -> list[Path]:
    return sorted(models_folder().glob(f"*/{CARD_FILE}"))


def _read_or_tell(path: Path) -> StoredCard | None:
    try:
        return StoredCard(read(path), path, True)
    except BadInput as fault:
        warnings.warn(f"{fault}; the model is left out", Notice, stacklevel=3)
        return None


def _with_shipped(user: list[StoredCard]) -> list[StoredCard]:
    names = {stored.card.name for stored in user}
    shipped = sorted((resources.shipped() / "Models").glob("*.json"))
    cards = [StoredCard(read(path), path, False) for path in shipped if not path.name.endswith(".schema.json")]
    return user + [stored for stored in cards if stored.card.name not in names]


def _validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((resources.shipped() / "Models" / "model-card.schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


def _check_consistent(card: ModelCard, name: str) -> None:
    """Check what a schema cannot say."""
    if card.preprocessing.spacing and card.preprocessing.size:
        raise BadInput(f"model card {name} gives both preprocessing/spacing and preprocessing/size; give one")
    if card.test and len(card.inputs) != 1:
        raise BadInput(f"model card {name} names a test volume, but wants {len(card.inputs)} images; leave test out")
    keys = [(segment.layer, segment.value) for segment in card.segments]
    if len(set(keys)) != len(keys):
        raise BadInput(f"model card {name} gives one value to two segments of a layer")
    if card.engine in ("network", "torchscript", "registration") and not any(w.stage == "main" for w in card.weights):
        raise BadInput(f'model card {name} names no weights of stage "main"')
