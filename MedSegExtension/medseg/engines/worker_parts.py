"""What a worker process is made of, how it starts, and how all of it ends."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

import medseg
from medseg.engines import process_tree
from medseg.engines.messages import Message, receive, skip_to_line
from medseg.engines.shared_folder import SharedFolder
from medseg.errors import Failed

_EXIT_SECONDS = 0.2
_JOIN_SECONDS = 1.0


@dataclass(frozen=True)
class Parts:
    """What must be ended, apart from the object whose loss ends it."""

    owner: int
    popen: subprocess.Popen[bytes]
    process: psutil.Process
    requests: IO[bytes]
    reader: threading.Thread
    folder: SharedFolder
    log: IO[bytes]
    hurried: bool

    def end(self) -> None:
        """Kill the process with all its children, and remove its folder."""
        if os.getpid() != self.owner:  # a forked copy of the client
            return
        process_tree.end(self.process)
        self.folder.remove()
        # it takes seconds to give back many gigabytes: not while a user waits, but at the end of the interpreter
        if threading.main_thread().is_alive() and not self._is_over():
            threading.Thread(target=self._tidy).start()
            return
        self._tidy()

    def _is_over(self) -> bool:
        if self.hurried:
            return False
        try:
            self.popen.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _tidy(self) -> None:
        self.popen.wait()
        self.folder.remove()  # should a last call to the system have put something there
        if self.reader is not threading.current_thread():  # where a garbage collection may happen as well
            self.reader.join(_JOIN_SECONDS)
        for stream in (self.requests, self.log):
            with contextlib.suppress(OSError):
                stream.close()

    def how_it_ended(self) -> str:
        """Return the exit code or the signal, in words; waits for the end."""
        code = self.popen.wait()
        if code >= 0:
            return f"exit code {code}"
        why = ", perhaps because memory ran out" if -code == getattr(signal, "SIGKILL", None) else ""
        return f"{signal.Signals(-code).name}{why}"

    def log_text(self) -> str:
        """Return what the process wrote to standard error."""
        with contextlib.suppress(ValueError):  # closed by another thread just now
            self.log.seek(0)
            return self.log.read().decode(errors="replace")
        return ""


def start(executable: str, folder: SharedFolder, messages: queue.SimpleQueue[Message | None], hurried: bool) -> Parts:
    """Start a process, and the thread that puts what it says into `messages`, None at the end.

    Raises:
        Failed: if the interpreter cannot be started.
    """
    log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
    try:
        popen = _popen(executable, folder, log)
    except OSError as fault:
        log.close()
        raise Failed(f"the worker process cannot be started with {executable!r}: {fault.strerror or fault}") from fault
    requests, answers = popen.stdin, popen.stdout
    if requests is None or answers is None:
        raise Failed("the worker process has no pipes")
    reader = threading.Thread(target=_read, args=(answers, messages), daemon=True)
    reader.start()
    return Parts(os.getpid(), popen, psutil.Process(popen.pid), requests, reader, folder, log, hurried)


def _popen(executable: str, folder: SharedFolder, log: IO[bytes]) -> subprocess.Popen[bytes]:
    # -P: a file like random.py in the current folder must not take a library's place; faulthandler: a crash in a
    # library leaves its place in the log
    options = ["-P", "-X", "faulthandler", "-m", "medseg.engines.worker"]
    return subprocess.Popen(
        [executable, *options, str(folder.path), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=_environment(),
        start_new_session=os.name == "posix",  # Ctrl-C is the client's to handle, and the group is killed as one
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _read(stream: IO[bytes], messages: queue.SimpleQueue[Message | None]) -> None:
    # holds neither process nor client, so that these can be lost
    try:
        skip_to_line(stream)
        while (message := receive(stream)) is not None:
            messages.put(message)
    finally:
        messages.put(None)
        stream.close()


def _environment() -> dict[str, str]:
    """The worker must find this very package, wherever the host found it.

    Its threads sleep while they wait for each other: where they spin, they take from the host's GUI what it needs, and
    from each other (a click took 370 ms on two cores, and 220 so).
    """
    package = str(Path(medseg.__file__).resolve().parents[1])
    known = os.environ.get("PYTHONPATH")
    found = package + (os.pathsep + known if known else "")
    return {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": found}
