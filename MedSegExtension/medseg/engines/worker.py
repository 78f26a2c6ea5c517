"""The process that runs networks, so that a crash of theirs is not a crash of the host.

Started by `medseg.engines.worker_process` from the host's own interpreter. Requests come in on standard input and
answers go out on standard output, voxels through a shared folder. One thread owns the models (GPU plans belong to a
thread); another only reads, so that a cancel is seen while a network runs, and so that this process ends with its
client; a third one sees the client's end where a forked copy of it still holds the line open.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NoReturn

import psutil
import SimpleITK as sitk

from medseg import inputs
from medseg.engines import catalog, judges, mirroring, process_tree, registration_jobs, wire
from medseg.engines.allocator import keep_freed_memory, return_freed_memory
from medseg.engines.interactive_jobs import Sessions
from medseg.engines.loaded_models import LoadedModels
from medseg.engines.messages import Message, open_line, receive, send
from medseg.engines.shared_folder import SharedFolder, sweep
from medseg.errors import BadInput, Failed
from medseg.notices import collected
from medseg.progress import Cancelled, Progress
from medseg.sampling import Sampling
from medseg.segmenter import Prediction, SampledSegmenter, Segmenter

_SHARE_OF_MEMORY = 0.25
_IDLE_SECONDS = 30.0
_WATCH_SECONDS = 0.5


class Worker:
    """Answers the requests of one client, one at a time."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO, folder: SharedFolder, models: LoadedModels) -> None:
        """Take the two ends of the line, the shared folder, and where models come from."""
        self._requests, self._answers, self._folder, self._models = requests, answers, folder, models
        self._jobs: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._sending = threading.Lock()
        self._sessions = Sessions()

    def run(self) -> NoReturn:
        """Serve until the client goes; then this process ends.

        Raises:
            OSError: if the client went in the middle of an answer.
        """
        threading.Thread(target=self._read, daemon=True).start()
        self._send({"type": "ready", "pid": os.getpid()})
        while True:
            self._answer(self._next_job())

    def _read(self) -> None:
        try:
            while (message := receive(self._requests)) is not None:
                if message["type"] == "cancel":
                    self._cancelled.add(message["job"])
                else:
                    self._jobs.put(message)
        finally:
            vanish(self._folder)

    def _next_job(self) -> Message:
        try:
            return self._jobs.get(timeout=_IDLE_SECONDS)
        except queue.Empty:
            return_freed_memory()
            return self._jobs.get()

    def _answer(self, request: Message) -> None:
        job = request["job"]
        try:
            answer = _ANSWERS[request["type"]](self, request)
        except Cancelled:
            answer = {"type": "cancelled"}
        except (BadInput, Failed) as fault:
            kind = "BadInput" if isinstance(fault, BadInput) else "Failed"
            answer = {"type": "error", "kind": kind, "message": str(fault)}
        except (RuntimeError, ValueError, OSError, MemoryError, ImportError) as fault:
            # what libraries raise when work fails; anything else is a fault of ours and ends this process, log and all
            print(traceback.format_exc(), file=sys.stderr, flush=True)  # noqa: T201
            answer = {"type": "error", "kind": "Broken", "message": f"{type(fault).__name__}: {fault}"}
        self._cancelled.discard(job)
        self._send({**answer, "job": job})

    def _predict(self, request: Message) -> Message:
        job = request["job"]
        images = [wire.unpack_image(image, self._folder) for image in request["images"]]
        self._report(job, 0.0, "loading the model")
        stored = wire.unpack_model(request["model"])
        with collected() as notices:
            if request["names"]:  # once more than the engine does, so that faults are told by name
                images = inputs.fit(stored.card, images, request["names"])
            segmenter = self._models.get(stored, request["device"], request["runtime"])
            report: Progress = lambda fraction, text: self._report(job, fraction, text)  # noqa: E731
            prediction = judges.judged(_run(segmenter, images, request, report), stored.card, images, request, report)
        return {"type": "result", "notices": notices, **wire.pack_prediction(prediction, self._folder)}

    def _registration(self, request: Message) -> Message:
        job, answer = request["job"], registration_jobs.ANSWERS[request["type"]]
        return answer(request, self._folder, lambda fraction, text: self._report(job, fraction, text))

    def _interactive(self, request: Message) -> Message:
        job = request["job"]
        return self._sessions.answer(request, self._folder, lambda fraction, text: self._report(job, fraction, text))

    def _judgement(self, request: Message) -> Message:
        job, answer = request["job"], _QUESTIONS[request["type"]]
        return answer(request, self._folder, lambda fraction, text: self._report(job, fraction, text))

    def _report(self, job: int, fraction: float, text: str) -> None:
        if job in self._cancelled:
            raise Cancelled
        self._send({"type": "progress", "job": job, "fraction": fraction, "message": text})

    def _send(self, message: Message) -> None:
        with self._sending:  # an engine may report from threads of its own
            send(self._answers, message)


def _run(segmenter: Segmenter, images: Sequence[sitk.Image], request: Message, progress: Progress) -> Prediction:
    if request["sampling"] is None:
        return segmenter.predict(images, progress)
    if not isinstance(segmenter, SampledSegmenter):
        raise BadInput(
            f"model {segmenter.card.name} runs in the engine {segmenter.card.engine!r}, which gives no probabilities "
            "to sample; choose a model of the engine network or torchscript"
        )
    return segmenter.sampled(images, Sampling.from_json(request["sampling"]), progress)


_QUESTIONS = judges.ANSWERS | mirroring.ANSWERS
_ANSWERS: dict[str, Callable[[Worker, Message], Message]] = {
    "predict": Worker._predict,
    "interactive": Worker._interactive,
    **dict.fromkeys(registration_jobs.ANSWERS, Worker._registration),
    **dict.fromkeys(_QUESTIONS, Worker._judgement),
}


def vanish(folder: SharedFolder) -> NoReturn:
    """End this process and its children at once and leave nothing behind."""
    folder.remove()
    process_tree.end(psutil.Process())
    os._exit(0)


def main() -> None:
    """Serve the client at the other end of standard input and output."""
    keep_freed_memory()
    requests, answers = _line()
    folder, client = SharedFolder(Path(sys.argv[1])), psutil.Process(int(sys.argv[2]))
    sweep()
    _lock = folder.make()
    threading.Thread(target=_watch, args=(client, folder), daemon=True).start()
    models = LoadedModels(catalog.open_segmenter, int(psutil.virtual_memory().total * _SHARE_OF_MEMORY))
    try:
        Worker(requests, answers, folder, models).run()
    except OSError:
        vanish(folder)
    finally:
        # a fault of ours: no thread or library may keep a process alive that answers no more
        traceback.print_exc()
        os._exit(1)


def _line() -> tuple[BinaryIO, BinaryIO]:
    """Take standard input and output for messages, out of the reach of libraries and of processes they start."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    open_line(answers)
    return requests, answers


def _watch(client: psutil.Process, folder: SharedFolder) -> None:
    while process_tree.runs(client):
        time.sleep(_WATCH_SECONDS)
    vanish(folder)


if __name__ == "__main__":
    main()
