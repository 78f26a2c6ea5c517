"""Where correction sessions are kept, and who corrects: set by the user, kept with the application's settings."""

from __future__ import annotations

import getpass
from pathlib import Path

import qt

from medseg import resources

_FOLDER, _READER = "MedSeg/correction_folder", "MedSeg/reader"


def folder() -> Path:
    """Return the folder of sessions; by default one beside the user's models."""
    chosen = qt.QSettings().value(_FOLDER)
    return Path(str(chosen)).expanduser() if chosen else resources.user_folder() / "corrections"


def set_folder(path: str) -> None:
    """Keep another folder; empty for the usual one. It is not looked at before a session begins."""
    qt.QSettings().setValue(_FOLDER, path)


def reader() -> str:
    """Return the name of the reader; by default that of the account."""
    chosen = qt.QSettings().value(_READER)
    return str(chosen) if chosen else _account()


def set_reader(name: str) -> None:
    """Keep another name."""
    qt.QSettings().setValue(_READER, name)


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name, as in containers
        return "reader"
