"""Modal dialogs: nobody is there to answer, so each is recorded as a fault unless the test has said what to answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PySide6 import QtWidgets

from harness.pythonqt import faults
from harness.pythonqt.enums import QtEnum

_STATIC = {
    "QMessageBox": ("question", "information", "warning", "critical", "about"),
    "QFileDialog": ("getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory"),
    "QInputDialog": ("getText", "getInt", "getDouble", "getItem"),
    "QColorDialog": ("getColor",),
}
_NOTHING_CHOSEN: dict[str, Any] = {"getOpenFileNames": (), "getColor": None}
_answers: list[tuple[str, Any]] = []
_shown: list[str] = []


@contextmanager
def answer(dialog: str, value: Any) -> Iterator[list[str]]:
    """Answer one dialog, named "QMessageBox.question" or by its class ("QDialog") for exec(); yields what was shown.

    Fails where the dialog was not opened.
    """
    given = (dialog, value)
    _answers.append(given)
    _shown.clear()
    yield _shown
    if given in _answers:
        _answers.remove(given)
        raise AssertionError(f"{dialog} was not opened")


def guard() -> None:
    """Replace everything that would wait for a user."""
    for owner, names in _STATIC.items():
        for name in names:
            setattr(getattr(QtWidgets, owner), name, staticmethod(_static(f"{owner}.{name}", name)))
    for kind in (QtWidgets.QDialog, QtWidgets.QMessageBox, QtWidgets.QFileDialog, QtWidgets.QMenu):
        for name in ("exec", "exec_"):
            setattr(kind, name, _exec)


def _static(dialog: str, name: str) -> Any:
    def ask(*args: Any) -> Any:
        nothing = QtEnum(0) if dialog.startswith("QMessageBox") else _NOTHING_CHOSEN.get(name, "")
        return _answered(dialog, " ".join(str(arg) for arg in args if isinstance(arg, str)), nothing)

    return ask


def _exec(self: Any, *args: Any) -> Any:
    text = getattr(self, "text", "") or getattr(self, "windowTitle", "")
    return _answered(self.className(), str(text), 0)


def _answered(dialog: str, text: str, nothing: Any) -> Any:
    _shown.append(text)
    for given in _answers:
        if given[0] == dialog:
            _answers.remove(given)
            return given[1]
    faults.record(faults.DIALOG, f"{dialog}: {text}")
    return nothing
