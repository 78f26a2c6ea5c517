"""Loss and Dice over epochs as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from medseg.atomic import replacing
from medseg.training.checkpoint import Epoch

_SIZE_INCHES = (10, 4)
_MOST_NAMED = 6


def draw(history: Sequence[Epoch], names: Mapping[str, str], title: str, path: Path) -> None:
    """Draw the training loss and validation cross-entropy beside the Dice of each segment into a PNG.

    Args:
        history: epochs from the first.
        names: of the segments, by value as text.
        title: above the picture.
        path: of the PNG, written whole or not at all.
    """
    figure = Figure(figsize=_SIZE_INCHES, dpi=100, layout="constrained")
    figure.suptitle(title)
    losses, dices = figure.subplots(1, 2)
    _losses(losses, history)
    _dices(dices, history, names)
    with replacing(path) as (draft,):
        FigureCanvasAgg(figure).print_png(str(draft))


def _losses(axes: Any, history: Sequence[Epoch]) -> None:
    axes.plot([epoch.number for epoch in history], [epoch.loss for epoch in history], label="training loss")
    validated = [epoch for epoch in history if epoch.cross_entropy is not None]
    axes.plot(
        [epoch.number for epoch in validated],
        [epoch.cross_entropy for epoch in validated],
        label="validation cross-entropy (nats)",
    )
    _dressed(axes, "loss")


def _dices(axes: Any, history: Sequence[Epoch], names: Mapping[str, str]) -> None:
    validated = [epoch for epoch in history if epoch.goodness is not None]
    numbers = [epoch.number for epoch in validated]
    few = len(names) <= _MOST_NAMED
    for place, (value, name) in enumerate(names.items()):
        found = [(epoch.dice_of or {}).get(value) for epoch in validated]
        drawn = [float("nan") if v is None else v for v in found]
        # more lines than a legend can tell apart stand for the spread alone
        style = {"label": name} if few else {"color": "0.7", "label": "" if place else "each segment"}
        axes.plot(numbers, drawn, linewidth=0.8, **style)
    axes.plot(numbers, [epoch.goodness for epoch in validated], color="black", linewidth=2, label="mean")
    axes.set_ylim(0, 1)
    unlabelled = validated and all(epoch.dice is None for epoch in validated)
    _dressed(axes, "validation similarity" if unlabelled else "validation Dice")


def _dressed(axes: Any, label: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
