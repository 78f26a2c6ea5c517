"""The segmenters there are, each held to the one contract, and to one another."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from contract.segmenter_contract import MADE_3D, SegmenterContract, labels_of
from medseg.engines import catalog
from medseg.engines.cards import StoredCard
from medseg.engines.client import RemoteSegmenter, WorkerClient
from medseg.geometry import Geometry
from medseg.progress import silent
from medseg.segmenter import Segmenter


def open_here(stored: StoredCard) -> Segmenter:
    return catalog.open_segmenter(stored, "cpu", "pytorch")


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerClient]:
    with WorkerClient() as client:
        yield client


@pytest.fixture(scope="module")
def open_there(worker: WorkerClient) -> Callable[[StoredCard], Segmenter]:
    return lambda stored: RemoteSegmenter(stored, worker, "cpu", "pytorch")


class TestLocalSegmenter(SegmenterContract):
    """The engine in this process."""

    @pytest.fixture
    def open_segmenter(self) -> Callable[[StoredCard], Segmenter]:
        return open_here


class TestRemoteSegmenter(SegmenterContract):
    """The same engine in the worker process."""

    @pytest.fixture
    def open_segmenter(self, worker, open_there) -> Callable[[StoredCard], Segmenter]:
        self.worker = worker
        return open_there

    def assert_nothing_left_behind(self, segmenter: Segmenter) -> None:
        process = self.worker._process
        left = [path.name for path in process.folder.path.iterdir()] if process.usable else []
        assert left in ([], ["in-use"])


@pytest.mark.parametrize("made", MADE_3D.values(), ids=MADE_3D)
def test_here_and_there_the_labels_are_the_same_voxel_for_voxel(open_there, small_card, volume, made):
    here, there = (opened(small_card).predict([volume(**made)], silent) for opened in (open_here, open_there))
    assert np.array_equal(labels_of(here), labels_of(there))
    assert labels_of(here).dtype == labels_of(there).dtype
    assert here.segmentation.geometry == there.segmentation.geometry == Geometry.of(volume(**made))


def test_here_and_there_two_channels_give_the_same(open_there, two_channel_card, volume):
    images = [volume(seed=0), volume(seed=1)]
    here, there = (opened(two_channel_card).predict(images, silent) for opened in (open_here, open_there))
    assert np.array_equal(labels_of(here), labels_of(there))


def test_here_and_there_radiographs_give_the_same(open_there, flat_card, volume):
    here, there = (opened(flat_card).predict([volume((40, 30))], silent) for opened in (open_here, open_there))
    assert np.array_equal(labels_of(here), labels_of(there))


def test_here_and_there_the_same_is_told_of_the_result(open_there, small_card, volume):
    here, there = (opened(small_card).predict([volume()], silent).provenance for opened in (open_here, open_there))
    assert (here.model, here.sha256, here.software, here.device) == (
        there.model,
        there.sha256,
        there.software,
        there.device,
    )
    assert (here.options, here.notes) == (there.options, there.notes)
