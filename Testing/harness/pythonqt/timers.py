"""`qt.QTimer.singleShot`: PySide6's own calls `connect` of the timer from C++, which is ours."""

from collections.abc import Callable
from typing import Any

from PySide6 import QtCore

_waiting: set[Any] = set()


def single_shot(msec: int, receiver: Any, slot: str = "") -> None:
    """Call a function, or the slot of an object, once after a time."""
    timer = QtCore.QTimer()
    timer.setSingleShot(True)
    timer.connect("timeout()", *((receiver, slot) if slot else (receiver,)))
    timer.connect("timeout()", _forget(timer))
    _waiting.add(timer)
    timer.start(int(msec))


def _forget(timer: Any) -> Callable[[], None]:
    def forget() -> None:
        _waiting.discard(timer)
        timer.deleteLater()

    return forget
