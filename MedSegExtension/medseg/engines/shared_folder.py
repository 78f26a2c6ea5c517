"""Arrays that two processes see at once, as memory-mapped files in one folder that cannot be left behind.

A folder in memory (/dev/shm) where the system has one, in the temporary folder elsewhere. Named files were chosen
over `multiprocessing.shared_memory` because a folder can be listed and removed by whoever survives: the worker when
its client dies, the client when its worker dies, and the next worker when both died at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from medseg.errors import Failed

PREFIX = "medseg-"
_LOCK = "in-use"
_GRACE_SECONDS = 60.0


@dataclass(frozen=True)
class SharedFolder:
    """A folder of arrays; whoever has its path can read and write them."""

    path: Path

    @classmethod
    def name_new(cls) -> SharedFolder:
        """Choose a path for a folder that does not exist yet (the worker makes it, so that it can also remove it)."""
        return cls(_base() / f"{PREFIX}{uuid.uuid4().hex}")

    def make(self) -> TextIO:
        """Create the folder and return the lock that marks it as in use for as long as this process lives."""
        self.path.mkdir(mode=0o700)
        lock = (self.path / _LOCK).open("w", encoding="ascii")
        if os.name == "posix":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    def remove(self) -> None:
        """Delete the folder and all arrays in it; arrays that are mapped stay readable where the system allows it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def put(self, array: npt.NDArray[Any]) -> dict[str, Any]:
        """Copy an array into the folder and return what the other process needs to `take` it.

        Raises:
            Failed: if there is no memory or disk left for it.
        """
        name = uuid.uuid4().hex
        try:
            self._reserve(self.path / name, max(array.nbytes, 1))
        except OSError as fault:
            (self.path / name).unlink(missing_ok=True)
            raise Failed(f"no room for {array.nbytes >> 20} MB in {self.path}: {fault.strerror}") from fault
        if array.size:
            np.memmap(self.path / name, array.dtype, "r+", shape=array.shape)[...] = array
        return {"file": name, "shape": list(array.shape), "dtype": array.dtype.str}

    def take(self, reference: dict[str, Any]) -> npt.NDArray[Any]:
        """Map an array that the other process put here, read-only."""
        shape = tuple(int(n) for n in reference["shape"])
        if 0 in shape:
            return np.zeros(shape, reference["dtype"])
        return np.memmap(self.path / Path(reference["file"]).name, reference["dtype"], "r", shape=shape)

    def drop(self, reference: dict[str, Any]) -> None:
        """Delete one array."""
        (self.path / Path(reference["file"]).name).unlink(missing_ok=True)

    @staticmethod
    def _reserve(path: Path, size: int) -> None:
        # claim the memory now: a sparse file in a full /dev/shm would end in SIGBUS on the first write
        with path.open("wb") as stream:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, size)
            else:
                stream.truncate(size)


def sweep() -> None:
    """Delete folders whose processes have all died."""
    for folder in _base().glob(f"{PREFIX}*"):
        if _abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _base() -> Path:
    memory = Path("/dev/shm")  # noqa: S108 - the names below it are random and private to the user
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


def _abandoned(folder: Path) -> bool:
    lock = folder / _LOCK
    try:
        if not lock.exists():  # being made right now, or left by a crash between two lines of `make`
            return time.time() - folder.stat().st_mtime > _GRACE_SECONDS
        if os.name != "posix":
            lock.unlink()  # refused while a process holds it open
            return True
        return _lockable(lock)
    except OSError:  # somebody else's, or gone meanwhile
        return False


def _lockable(path: Path) -> bool:
    import fcntl

    with path.open("r", encoding="ascii") as stream, contextlib.suppress(BlockingIOError):
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
