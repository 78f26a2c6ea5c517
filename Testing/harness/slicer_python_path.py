"""Where `slicer.i18n`, `slicer.ScriptedLoadableModule`, `slicer.parameterNodeWrapper` and `slicer.packaging` come from.

Ours, or with SLICER_PYTHON_DIR set to a folder `slicer` of Python files of the application, those.
"""

import os
import sys
from pathlib import Path

import slicer

from harness import installs

_pip_install_of_5_12 = slicer.util.pip_install
_HERE = Path(__file__).parent
_PACKAGING = "slicer.packaging"


def install() -> None:
    """Extend the package `slicer`, whose own files (util.py) stay the first choice."""
    for folder in _folders():
        if str(folder) not in slicer.__path__:
            slicer.__path__.append(str(folder))


def theirs() -> Path | None:
    """Return the folder of Slicer's own Python files, if one is named."""
    named = os.environ.get("SLICER_PYTHON_DIR")
    return Path(named) if named else None


def with_packaging(present: bool) -> None:
    """Behave as Slicer 5.12, which has `slicer.packaging`, or as 5.10, which has not."""
    folder = str(theirs() or _HERE / "slicer_python_5_12")
    slicer.util.pip_install = _pip_install_of_5_12 if present else installs.pip_install
    sys.modules.pop(_PACKAGING, None)
    slicer.__dict__.pop("packaging", None)
    if present:
        if folder not in slicer.__path__:
            slicer.__path__.append(folder)
    else:
        sys.modules[_PACKAGING] = None  # type: ignore[assignment]  # makes the import raise ImportError


def _folders() -> tuple[Path, ...]:
    return (folder,) if (folder := theirs()) else (_HERE / "slicer_python", _HERE / "slicer_python_5_12")
