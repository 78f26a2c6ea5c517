"""Models stay loaded until the room for them is wanted by others."""

import gc
import os
import subprocess
import sys
import weakref
from dataclasses import replace

import pytest

from medseg.engines import catalog
from medseg.engines.loaded_models import LoadedModels
from medseg.errors import BadInput

EVICT = """
import sys
from pathlib import Path
import psutil
from medseg.engines import cards
from medseg.engines.allocator import keep_freed_memory
keep_freed_memory()
from medseg.engines.catalog import open_segmenter
from medseg.engines.cards import StoredCard
from medseg.engines.loaded_models import LoadedModels
large, small = [StoredCard(cards.read(Path(p)), Path(p), True) for p in sys.argv[1:3]]
def resident(): return psutil.Process().memory_info().rss >> 20
models = LoadedModels(open_segmenter, limit=1 << 20)
models.get(small, "cpu", "pytorch")
before = resident()
models.get(large, "cpu", "pytorch")
loaded = resident()
models.get(small, "cpu", "pytorch")
print(before, loaded, resident())
"""


class Opened:
    """Stands where a segmenter would, and remembers how it was opened."""

    def __init__(self, stored, device, runtime):
        self.card, self.device, self.runtime = stored.card, device, runtime
        self.itself = self  # as networks do


@pytest.fixture
def three_cards(make_network_card, tmp_path):
    return [make_network_card(tmp_path / name) for name in "abc"]


def size_of(stored):
    return (stored.folder / "weights.safetensors").stat().st_size


def test_a_model_is_opened_once(small_card):
    models = LoadedModels(Opened, limit=1 << 30)
    assert models.get(small_card, "cpu", "auto") is models.get(small_card, "cpu", "auto")


def test_another_device_runtime_or_card_is_another_model(small_card):
    models = LoadedModels(Opened, limit=1 << 30)
    changed = replace(small_card, card=replace(small_card.card, version="2"))
    elsewhere = replace(small_card, path=small_card.path.with_name("other.json"))
    opened = [
        models.get(small_card, "cpu", "auto"),
        models.get(small_card, "cuda:1", "auto"),
        models.get(small_card, "cpu", "openvino"),
        models.get(changed, "cpu", "auto"),
        models.get(elsewhere, "cpu", "auto"),
    ]
    assert len({id(model) for model in opened}) == 5
    assert (opened[1].device, opened[2].runtime, opened[3].card.version) == ("cuda:1", "openvino", "2")


def test_the_model_unused_for_longest_makes_room(three_cards):
    a, b, c = three_cards
    models = LoadedModels(Opened, limit=2 * size_of(a))
    models.get(a, "cpu", "auto")
    models.get(b, "cpu", "auto")
    models.get(a, "cpu", "auto")
    models.get(c, "cpu", "auto")
    assert models.names == ["a", "c"]


def test_models_within_the_limit_all_stay(three_cards):
    models = LoadedModels(Opened, limit=3 * size_of(three_cards[0]))
    for stored in three_cards:
        models.get(stored, "cpu", "auto")
    assert models.names == ["a", "b", "c"]


def test_the_newest_model_stays_whatever_its_size(three_cards):
    models = LoadedModels(Opened, limit=1)
    for stored in three_cards:
        models.get(stored, "cpu", "auto")
    assert models.names == ["c"]


def test_a_model_that_makes_room_is_freed_at_once(three_cards):
    gc.disable()
    try:
        models = LoadedModels(Opened, limit=1)
        first = weakref.ref(models.get(three_cards[0], "cpu", "auto"))
        models.get(three_cards[1], "cpu", "auto")
        assert first() is None
    finally:
        gc.enable()


def test_a_model_that_cannot_be_opened_is_not_kept(small_card):
    models = LoadedModels(catalog.open_segmenter, limit=1 << 30)
    with pytest.raises(BadInput, match="unknown device"):
        models.get(small_card, "toaster", "auto")
    assert models.names == []
    assert models.get(small_card, "cpu", "auto").card == small_card.card


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator's settings are glibc's")
def test_the_memory_of_a_model_that_made_room_is_given_back(make_network_card, tmp_path):
    wide = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [192, 384, 512], "strides": [2, 2]}
    large = make_network_card(tmp_path / "large", arguments=wide)
    small = make_network_card(tmp_path / "small")
    megabytes = size_of(large) >> 20
    assert megabytes > 40
    done = subprocess.run(
        [sys.executable, "-c", EVICT, str(large.path), str(small.path)], capture_output=True, text=True, check=True
    )
    before, loaded, after = map(int, done.stdout.split())
    assert loaded - before > 0.8 * megabytes, os.linesep + done.stderr
    assert after - before < 0.3 * megabytes
