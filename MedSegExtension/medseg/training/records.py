"""What is written of a training while it goes on: numbers, curves and TensorBoard events."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from medseg.atomic import replacing
from medseg.errors import Notice
from medseg.training.checkpoint import Epoch
from medseg.training.config import TrainingConfig
from medseg.training.curves import draw

HISTORY_FILE = "history.json"
CURVES_FILE = "curves.png"
_SECONDS_BETWEEN_CURVES = 20.0


class Recorder:
    """Writes the history after each epoch; the picture not more often than people look at it, and at the end."""

    def __init__(self, folder: Path, config: TrainingConfig, done: int) -> None:
        """Record into a folder a training of which `done` epochs are done."""
        self._folder, self._config = folder, config
        self._events = _event_writer(folder, done)
        self._drawn_at = 0.0
        self._history: Sequence[Epoch] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _fault: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._events:
            self._events.close()
        if kind is None:
            self._draw()

    def add(self, history: Sequence[Epoch]) -> None:
        """Write down an epoch, the last of the history."""
        self._history = history
        with replacing(self._folder / HISTORY_FILE) as (draft,):
            draft.write_text(json.dumps([asdict(epoch) for epoch in history], indent=1), encoding="utf-8")
        if self._events:
            for name, value in _scalars(history[-1], self._names()):
                self._events.add_scalar(name, value, history[-1].number)
            self._events.flush()
        if time.monotonic() - self._drawn_at > _SECONDS_BETWEEN_CURVES:
            self._draw()

    def _draw(self) -> None:
        if self._history:
            draw(self._history, self._names(), self._config.title or self._config.name, self._folder / CURVES_FILE)
            self._drawn_at = time.monotonic()

    def _names(self) -> dict[str, str]:
        return {str(segment.value): segment.name for segment in self._config.segments}


def _scalars(epoch: Epoch, names: dict[str, str]) -> Iterator[tuple[str, float]]:
    values = {"loss/training": epoch.loss, "loss/validation cross-entropy": epoch.cross_entropy}
    values |= {"learning rate": epoch.learning_rate, "Dice/mean": epoch.dice, "similarity": epoch.similarity}
    values |= {f"Dice/{names[key]}": value for key, value in (epoch.dice_of or {}).items()}
    yield from ((name, value) for name, value in values.items() if value is not None)


def _event_writer(folder: Path, done: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        text = 'no TensorBoard events are written: tensorboard is not installed; pip install "medseg[training]"'
        warnings.warn(text, Notice, stacklevel=4)
        return None
    return SummaryWriter(str(folder / "events"), purge_step=done + 1)
