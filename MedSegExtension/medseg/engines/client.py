"""The worker as its client sees it: a segmenter like any other, that happens to run in another process."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import SimpleITK as sitk

from medseg.engines import wire
from medseg.engines.cards import StoredCard
from medseg.engines.worker_process import POLL_SECONDS, WorkerProcess
from medseg.errors import Notice
from medseg.model_card import ModelCard
from medseg.progress import Progress
from medseg.segmenter import Prediction


class WorkerClient:
    """Starts a worker when first needed, again after it died, and ends it when closed. One job at a time.

    The worker also ends when this object is lost, and when the interpreter exits or is killed. Threads may share a
    client: their jobs wait for each other.
    """

    def __init__(self, executable: str = sys.executable) -> None:
        """Name the interpreter to start (PythonSlicer on the desktop)."""
        self._executable = executable
        self._process: WorkerProcess | None = None
        self._busy = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Process number of the worker, if one is ready."""
        process = self._process
        return process.pid or None if process and process.usable else None

    def predict(
        self, stored: StoredCard, images: Sequence[sitk.Image], device: str, runtime: str, progress: Progress
    ) -> Prediction:
        """Segment one case in the worker; see `medseg.segmenter.Segmenter`.

        Raises:
            Failed: if the worker died; the next call starts a new one.
        """
        with self._turn(progress):
            process = self._running(progress)
            request = {"type": "predict", "model": wire.pack_model(stored), "device": device, "runtime": runtime}
            try:
                packed = [wire.pack_image(image, process.folder) for image in images]
                answer = process.ask({**request, "images": packed}, progress)
                prediction = wire.unpack_prediction(answer, process.folder)
            finally:
                process.folder.clear()
        for notice in dict.fromkeys([*answer["notices"], *prediction.provenance.notes]):
            warnings.warn(notice, Notice, stacklevel=3)
        return prediction

    def close(self) -> None:
        """End the worker and its children; a job that runs in another thread fails."""
        process, self._process = self._process, None
        if process:
            process.end()

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @contextmanager
    def _turn(self, progress: Progress) -> Iterator[None]:
        while not self._busy.acquire(timeout=POLL_SECONDS):
            progress(0.0, "waiting for another job")
        try:
            yield
        finally:
            self._busy.release()

    def _running(self, progress: Progress) -> WorkerProcess:
        if self._process is None or not self._process.usable:
            self.close()
            self._process = process = WorkerProcess(self._executable)
            process.await_ready(progress)
            return process
        return self._process


class RemoteSegmenter:
    """A `Segmenter` whose network runs in the worker."""

    def __init__(self, stored: StoredCard, worker: WorkerClient, device: str = "auto", runtime: str = "auto") -> None:
        """Name the model, the worker, and where in it to run; see `catalog.open_segmenter`."""
        self._stored, self._worker, self._device, self._runtime = stored, worker, device, runtime

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        return self._stored.card

    def predict(self, images: Sequence[sitk.Image], progress: Progress) -> Prediction:
        """Segment one case; see `medseg.segmenter.Segmenter`."""
        return self._worker.predict(self._stored, images, self._device, self._runtime, progress)
