"""What Slicer prints to its console, or shows in a dialog nobody answers, and then goes on: tests must see it."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

EXCEPTION = "swallowed exception"
CONNECT = "failed connect"
UI_CONNECTION = "failed .ui connection"
DIALOG = "unexpected modal dialog"


@dataclass(frozen=True)
class Fault:
    """One thing that went wrong without an exception reaching the caller."""

    kind: str
    what: str


_recorded: list[Fault] = []


def record(kind: str, what: str) -> None:
    _recorded.append(Fault(kind, what))


def record_exception(error: BaseException) -> None:
    """Keep an exception that PythonQt would print, and print it as PythonQt does."""
    text = "".join(traceback.format_exception(error))
    sys.stderr.write(text)
    record(EXCEPTION, text)


def taken() -> list[Fault]:
    """Return the faults so far and forget them."""
    faults = list(_recorded)
    _recorded.clear()
    return faults


@contextmanager
def expected(kind: str, what: str = "") -> Iterator[list[Fault]]:
    """Allow the faults of one kind whose text contains `what` inside the block; fails where there is none."""
    before = len(_recorded)
    found: list[Fault] = []
    yield found
    found += [fault for fault in _recorded[before:] if fault.kind == kind and what in fault.what]
    _recorded[before:] = [fault for fault in _recorded[before:] if fault not in found]
    if not found:
        raise AssertionError(f"no {kind} that says {what!r}")


def watch_unraised() -> None:
    """Record what C++ (VTK observers, Qt's virtual functions) prints when Python code it calls raises."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        record(EXCEPTION, "".join(traceback.format_exception(kind, error, trace)))
        before(kind, error, trace)

    sys.excepthook = hook
