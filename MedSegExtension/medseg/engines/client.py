"""The worker as its client sees it: a segmenter like any other, that happens to run in another process."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import psutil
import SimpleITK as sitk

import medseg
from medseg.engines import wire
from medseg.engines.cards import StoredCard
from medseg.engines.messages import Message, receive, send
from medseg.engines.shared_folder import SharedFolder
from medseg.errors import BadInput, Failed, Notice
from medseg.model_card import ModelCard
from medseg.progress import Progress
from medseg.segmenter import Prediction

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 0.6
_START_SECONDS = 60.0
_LOG_TAIL = 2000
_KINDS: dict[str, type[Exception]] = {"BadInput": BadInput, "Failed": Failed}


class WorkerClient:
    """Starts a worker when first needed, again after it died, and ends it when closed. One job at a time."""

    def __init__(self, executable: str = sys.executable) -> None:
        """Name the interpreter to start (PythonSlicer on the desktop)."""
        self._executable = executable
        self._process: _Process | None = None
        self._jobs = 0
        self._busy = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Process number of the worker, if one runs."""
        return self._process.pid if self._process and self._process.alive else None

    def predict(
        self, stored: StoredCard, images: Sequence[sitk.Image], device: str, runtime: str, progress: Progress
    ) -> Prediction:
        """Segment one case in the worker; see `medseg.segmenter.Segmenter`.

        Raises:
            Failed: if the worker died; the next call starts a new one.
        """
        with self._busy:
            process = self._running(progress)
            self._jobs += 1
            request = {"type": "predict", "job": self._jobs, "model": wire.pack_model(stored)}
            request |= {"device": device, "runtime": runtime}
            try:
                request["images"] = [wire.pack_image(image, process.folder) for image in images]
                answer = process.ask(request, progress)
                return wire.unpack_prediction(answer, stored.card, process.folder)
            except OSError as fault:
                raise process.died() from fault

    def close(self) -> None:
        """End the worker and its children."""
        if self._process:
            self._process.kill()
            self._process = None

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _running(self, progress: Progress) -> _Process:
        if self._process is None or not self._process.alive:
            self.close()
            process = _Process(self._executable)
            process.await_ready(progress)
            self._process = process
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
        prediction = self._worker.predict(self._stored, images, self._device, self._runtime, progress)
        for note in prediction.provenance.notes:
            warnings.warn(note, Notice, stacklevel=2)
        return prediction


class _Process:
    """One worker process, its two pipes, its folder and its log."""

    def __init__(self, executable: str) -> None:
        self.folder = SharedFolder.name_new()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._popen = subprocess.Popen(
            [executable, "-m", "medseg.engines.worker", str(self.folder.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(),
            start_new_session=os.name == "posix",  # Ctrl-C is the client's to handle
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def await_ready(self, progress: Progress) -> None:
        """Wait until the process listens; where `progress` raises, the process ends."""
        listens = False
        until = time.monotonic() + _START_SECONDS
        try:
            while not listens and time.monotonic() < until:
                message = self._next(progress, (0.0, "starting the worker process"))
                listens = message is not None and message["type"] == "ready"
        finally:
            if not listens:
                self.kill()
        if not listens:
            raise Failed(f"the worker process did not start within {_START_SECONDS:.0f} s{self._tail()}")

    def ask(self, request: Message, progress: Progress) -> Message:
        """Send a request and wait for its result; whatever `progress` raises cancels the job."""
        answer: Message | None = None
        try:
            self._send(request)
            answer = self._answer(request["job"], progress)
        finally:
            if answer is None and self.alive:  # Cancelled, Ctrl-C, or a fault in the host's own progress function
                self._stop(request["job"])
        if answer["type"] == "error":
            raise _KINDS[answer["kind"]](answer["message"])
        return answer

    def died(self) -> Failed:
        """End what is left of the process and describe its end."""
        self.kill()
        code = self._popen.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return Failed(
            f"the worker process ended in the middle of the job ({how}); the next job starts a new one{self._tail()}"
        )

    def kill(self) -> None:
        """End the process with all its children, and remove its folder."""
        children = _children(self._popen.pid)
        self._popen.kill()
        self._popen.wait()
        for child in children:
            child.kill()
        self.folder.remove()

    def _send(self, message: Message) -> None:
        if self._popen.stdin is None:
            raise Failed("the worker has no standard input")
        send(self._popen.stdin, message)  # type: ignore[arg-type]

    def _read(self) -> None:
        message: Message | None = {}
        while message is not None:
            message = receive(self._popen.stdout)  # type: ignore[arg-type]
            self._messages.put(message)

    def _answer(self, job: int, progress: Progress) -> Message:
        latest = (0.0, "starting")
        while True:
            message = self._next(progress, latest)
            if message is None or message.get("job") != job:
                continue  # silence, or what is left of a job that was cancelled
            if message["type"] != "progress":
                return message
            latest = (message["fraction"], message["message"])
            progress(*latest)

    def _next(self, progress: Progress, latest: tuple[float, str]) -> Message | None:
        """Return the next message, or None after a moment of silence, in which the host may want to cancel."""
        try:
            message = self._messages.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            progress(*latest)
            return None
        if message is None:
            raise self.died()
        return message

    def _stop(self, job: int) -> None:
        """Ask the job to stop; a worker that does not within the grace period is killed."""
        try:
            self._send({"type": "cancel", "job": job})
        except OSError:
            self.kill()
            return
        until = time.monotonic() + _GRACE_SECONDS
        while (left := until - time.monotonic()) > 0:
            try:
                message = self._messages.get(timeout=left)
            except queue.Empty:
                break
            if message is None:
                break
            if message.get("job") == job and message["type"] != "progress":
                if message["type"] == "result":
                    wire.discard(message, self.folder)
                return
        self.kill()

    def _tail(self) -> str:
        self._log.seek(0)
        text = self._log.read().decode(errors="replace").strip()[-_LOG_TAIL:]
        return f"; its last words:\n{text}" if text else ""


def _environment() -> dict[str, str]:
    """The worker must find this very package, wherever the host found it."""
    package = str(Path(medseg.__file__).resolve().parents[1])
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": package + (os.pathsep + known if known else "")}


def _children(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []
