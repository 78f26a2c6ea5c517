"""The models that a worker keeps ready, within a limit of memory."""

from __future__ import annotations

import gc
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from medseg.engines.allocator import return_freed_memory
from medseg.engines.cards import StoredCard
from medseg.engines.weights import located_at
from medseg.segmenter import Segmenter

Open = Callable[[StoredCard, str, str], Segmenter]


@dataclass(frozen=True)
class _Loaded:
    segmenter: Segmenter
    size: int


class LoadedModels:
    """Opens models and keeps them; beyond the limit the one unused for longest goes first."""

    def __init__(self, opener: Open, limit: int) -> None:
        """Keep models whose weights take up to `limit` bytes together; the newest stays whatever its size."""
        self._open, self._limit = opener, limit
        self._models: OrderedDict[str, _Loaded] = OrderedDict()

    @property
    def names(self) -> list[str]:
        """Names of the loaded models, the one unused for longest first."""
        return [loaded.segmenter.card.name for loaded in self._models.values()]

    def get(self, stored: StoredCard, device: str, runtime: str) -> Segmenter:
        """Return the model, opened now if it is not at hand."""
        key = json.dumps([stored.card.as_json(), str(stored.path), device, runtime], sort_keys=True)
        if key not in self._models:
            self._make_room(size := _size(stored))
            self._models[key] = _Loaded(self._open(stored, device, runtime), size)
        self._models.move_to_end(key)
        return self._models[key].segmenter

    def _make_room(self, size: int) -> None:
        before = len(self._models)
        while self._models and sum(loaded.size for loaded in self._models.values()) + size > self._limit:
            self._models.popitem(last=False)
        if len(self._models) < before:
            gc.collect()  # networks hold themselves in circles; their memory is wanted now
            return_freed_memory()


def _size(stored: StoredCard) -> int:
    """Bytes of the model's files: what its weights take in memory, near enough."""
    if stored.card.engine in ("network", "torchscript"):
        return sum(located_at(stored, part).stat().st_size for part in stored.card.weights)
    return sum(path.stat().st_size for path in stored.folder.rglob("*") if path.is_file())
