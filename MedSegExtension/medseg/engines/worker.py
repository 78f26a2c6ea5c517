"""The process that runs networks, so that a crash of theirs is not a crash of the host.

Started by `medseg.engines.client` from the host's own interpreter. Requests come in on standard input and answers go
out on standard output, voxels through a shared folder. One thread owns the models (GPU plans belong to a thread);
another only reads, so that a cancel is seen while a network runs, and so that this process ends with its client.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import psutil

from medseg.engines import catalog, wire
from medseg.engines.allocator import keep_freed_memory
from medseg.engines.loaded_models import LoadedModels
from medseg.engines.messages import Message, receive, send
from medseg.engines.shared_folder import SharedFolder, sweep
from medseg.errors import BadInput, Failed
from medseg.progress import Cancelled

_SHARE_OF_MEMORY = 0.25


class Worker:
    """Answers the requests of one client, one at a time."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO, folder: SharedFolder, models: LoadedModels) -> None:
        """Take the two ends of the line, the shared folder, and where models come from."""
        self._requests, self._answers, self._folder, self._models = requests, answers, folder, models
        self._jobs: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._sending = threading.Lock()

    def run(self) -> None:
        """Serve until the client goes; then this process ends."""
        threading.Thread(target=self._read, daemon=True).start()
        self._send({"type": "ready", "pid": os.getpid()})
        while True:
            self._answer(self._jobs.get())

    def _read(self) -> None:
        while (message := receive(self._requests)) is not None:
            if message["type"] == "cancel":
                self._cancelled.add(message["job"])
            else:
                self._jobs.put(message)
        vanish(self._folder)

    def _answer(self, request: Message) -> None:
        job = request["job"]
        try:
            answer = _ANSWERS[request["type"]](self, request)
        except Cancelled:
            answer = {"type": "cancelled"}
        except BadInput as fault:
            answer = {"type": "error", "kind": "BadInput", "message": str(fault)}
        except (RuntimeError, ValueError, OSError) as fault:
            # what libraries raise when work fails; anything else is a fault of ours and ends this process, log and all
            print(traceback.format_exc(), file=sys.stderr, flush=True)  # noqa: T201
            named = str(fault) if isinstance(fault, Failed) else f"{type(fault).__name__}: {fault}"
            answer = {"type": "error", "kind": "Failed", "message": named}
        self._cancelled.discard(job)
        self._send({**answer, "job": job})

    def _predict(self, request: Message) -> Message:
        job = request["job"]
        images = [wire.unpack_image(image, self._folder) for image in request["images"]]
        self._report(job, 0.0, "loading the model")
        stored = wire.unpack_model(request["model"])
        segmenter = self._models.get(stored, request["device"], request["runtime"])
        prediction = segmenter.predict(images, lambda fraction, text: self._report(job, fraction, text))
        return {"type": "result", **wire.pack_prediction(prediction, self._folder)}

    def _report(self, job: int, fraction: float, text: str) -> None:
        if job in self._cancelled:
            raise Cancelled
        self._send({"type": "progress", "job": job, "fraction": fraction, "message": text})

    def _send(self, message: Message) -> None:
        with self._sending:
            send(self._answers, message)


_ANSWERS: dict[str, Callable[[Worker, Message], Message]] = {"predict": Worker._predict}


def vanish(folder: SharedFolder) -> None:
    """End this process and its children at once and leave nothing behind."""
    folder.remove()
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(0)


def main() -> None:
    """Serve the client at the other end of standard input and output."""
    keep_freed_memory()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not end up among the answers
    sweep()
    folder = SharedFolder(Path(sys.argv[1]))
    _lock = folder.make()
    models = LoadedModels(catalog.open_segmenter, int(psutil.virtual_memory().total * _SHARE_OF_MEMORY))
    try:
        Worker(sys.stdin.buffer, answers, folder, models).run()
    except OSError:  # the client is gone in the middle of an answer
        vanish(folder)


if __name__ == "__main__":
    main()
