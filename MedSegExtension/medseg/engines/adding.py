"""Taking a model of the user's into the models folder: a card with its weights, a MONAI bundle, an nnU-Net result."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from medseg import resources
from medseg.engines import cards, weights
from medseg.engines.cards import CARD_FILE, StoredCard
from medseg.errors import BadInput, Failed
from medseg.model_card import ModelCard

SCHEMA_VERSION = 1


def add(path: Path, trusted_sha256: str = "") -> StoredCard:
    """Copy a model into the user's models folder, whole or not at all, and return its card.

    Args:
        path: a card (JSON, weights beside it), the folder of a finished `medseg train`, a MONAI bundle (folder or
            zip), or an nnU-Net v2 result folder.
        trusted_sha256: the fingerprint of a bundle that the user trusts to run its own code.

    Raises:
        BadInput: if it is none of these, is incomplete or unsafe, or a model of this name is already there.
        Failed: if it cannot be copied.
    """
    if not path.exists():
        raise BadInput(f"{path} does not exist; give a card, a MONAI bundle or an nnU-Net result folder")
    with _staged() as stage:
        card = _take(path, stage, trusted_sha256)
        _write_card(card, stage / CARD_FILE)
        weights.located(StoredCard(card, stage / CARD_FILE, True))
        return _install(card, stage)


def _take(path: Path, stage: Path, trusted_sha256: str) -> ModelCard:
    if path.suffix.lower() == ".json" and path.is_file():
        return _take_card(path, stage)
    if (path / CARD_FILE).is_file():
        return _take_card(path / CARD_FILE, stage)
    if (path / "member-1").is_dir():
        raise BadInput(
            f"{path} is a training that has not ended; finish it first: medseg train CONFIG --resume --out {path}"
        )
    if path.suffix.lower() == ".zip" or (path / "configs").is_dir():
        return _take_bundle(path, stage, trusted_sha256)
    if (path / "plans.json").is_file():
        return _take_nnunet(path, stage)
    raise BadInput(
        f"{path} is no model: a card is a .json file, a finished training a folder with {CARD_FILE}, "
        "a MONAI bundle a folder (or .zip) with configs/metadata.json, "
        "an nnU-Net result a folder with plans.json, dataset.json and fold_0"
    )


def _take_card(path: Path, stage: Path) -> ModelCard:
    card = cards.read(path)
    if card.engine == "registration":
        raise BadInput(
            f"{path} registers images and is used where it lies: medseg register FIXED MOVING --engine learned"
            f" --weights {path} --out TRANSFORM"
        )
    for part in card.weights:
        if not part.package:
            checked = weights.verified(StoredCard(card, path, True), part)
            _copy(checked, stage / part.file)
    beside = path.parent / card.test.volume if card.test else None
    if beside and beside.is_file():
        _copy(beside, stage / beside.name)
    return card


def _take_bundle(path: Path, stage: Path, trusted_sha256: str) -> ModelCard:
    from medseg.inference import bundle_files, bundle_zip
    from medseg.inference.bundle_card import card_of

    folder = bundle_zip.unpack(path, stage / "unpacked") if path.is_file() else path
    try:
        # judged where it lies: what is refused is never copied
        card = card_of(bundle_files.read(folder), trusted_sha256)
    except BadInput as fault:  # the user knows the zip, not where it was unpacked
        raise BadInput(str(fault).replace(str(folder), str(path))) from fault
    _copy(folder, stage / "bundle")
    shutil.rmtree(stage / "unpacked", ignore_errors=True)
    return _moved(card, "bundle")


def _take_nnunet(path: Path, stage: Path) -> ModelCard:
    from medseg.inference.nnunet import card_of

    card = card_of(path)
    _copy(path, stage / "nnunet")
    return _moved(card, "nnunet")


def _moved(card: ModelCard, folder: str) -> ModelCard:
    """Make the card's paths relative to the folder that it will lie in."""
    files = tuple(replace(part, file=f"{folder}/{part.file}") for part in card.weights)
    return replace(card, weights=files, bundle={**card.bundle, "path": folder})


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    except (OSError, shutil.Error) as fault:
        raise Failed(f"{source} could not be copied to {target.parent}: {fault}") from fault


def _write_card(card: ModelCard, path: Path) -> None:
    values = json.loads(json.dumps({"schema_version": SCHEMA_VERSION, **card.as_json()}))
    cards.parse(values, f"made for {card.name}")
    path.write_text(json.dumps(values, indent=2), encoding="utf-8")


def _install(card: ModelCard, stage: Path) -> StoredCard:
    if any(stored.card.name == card.name for stored in cards.listed()):
        raise BadInput(
            f"a model named {card.name} is already installed; remove it first: medseg models remove {card.name}"
        )
    home = cards.models_folder() / card.name
    stage.rename(home)
    return StoredCard(card, home / CARD_FILE, True)


@contextmanager
def _staged() -> Iterator[Path]:
    """Make a folder on the disk of the installed models (so that moving it is one step), gone if nothing came of it."""
    stage = resources.user_folder() / "adding" / uuid.uuid4().hex
    try:
        stage.mkdir(parents=True)
        cards.models_folder().mkdir(exist_ok=True)
    except OSError as fault:
        raise Failed(f"the models folder {cards.models_folder()} cannot be written: {fault.strerror}") from fault
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)
