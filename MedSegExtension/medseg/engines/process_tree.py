"""Processes and all that they started."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import psutil


def runs(process: psutil.Process) -> bool:
    """Whether a process still runs; one that has ended and is not yet waited for does not.

    Unlike `Popen.poll` this does not wait for it, so that its number, by which `end` finds its group, stays taken.
    """
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end(process: psutil.Process) -> None:
    """Kill a process with all its descendants.

    Descendants whose parents have died are found by the process group, if it is in one that was started in a session
    of its own (not on Windows).
    """
    group = _own_group(process)
    for descendant in _descendants(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            descendant.kill()
    if sys.platform != "win32" and group is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # only the dead are left in it
            os.killpg(group, signal.SIGKILL)
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def _own_group(process: psutil.Process) -> int | None:
    if sys.platform == "win32" or not process.is_running():
        return None
    with contextlib.suppress(ProcessLookupError):
        group = os.getpgid(process.pid)
        if group == os.getsid(process.pid):
            return group
    return None


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []
