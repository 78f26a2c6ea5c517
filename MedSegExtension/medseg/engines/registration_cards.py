"""The card of a registration network, from where a user finds it: a run's folder, its card, or its weights."""

from __future__ import annotations

from pathlib import Path

from medseg.engines import cards, weights
from medseg.engines.cards import CARD_FILE, StoredCard
from medseg.errors import BadInput
from medseg.model_card import ModelCard


def opened(path: Path) -> tuple[ModelCard, Path]:
    """Return the card and its checked file of weights.

    Args:
        path: the folder of a finished `medseg train`, a card (JSON), or weights with their card beside them.

    Raises:
        BadInput: if there is no card, it is of no registration network, or the weights are not its own.
    """
    if not path.exists():
        raise BadInput(f"{path} does not exist; give the folder of a finished medseg train, or the card in it")
    home = path if path.suffix == ".json" else (path if path.is_dir() else path.parent) / CARD_FILE
    if not home.is_file():
        raise BadInput(f"{path} has no {CARD_FILE}: what a network expects of its images stands there; train it first")
    stored = StoredCard(cards.read(home), home, False)
    if stored.card.engine != "registration":
        raise BadInput(f"model {stored.card.name} ({home}) registers nothing: its engine is {stored.card.engine}")
    wanted = [one for one in stored.card.weights if one.file == path.name or (path in (home, home.parent))]
    if not wanted:
        raise BadInput(f"{path} is not among the weights that {home} names")
    return stored.card, weights.verified(stored, wanted[0])
