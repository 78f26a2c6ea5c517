"""`PythonSlicer`: the application's Python is a launcher that starts the real interpreter as its child and waits."""

import os
import stat
import sys
from pathlib import Path

_UNIX = '#!/bin/sh\n"{python}" "$@"\nexit $?\n'  # no exec: a process that is killed must take its child along
_WINDOWS = '@"{python}" %*\r\n'


def put_on_path(folder: Path) -> Path:
    """Write the launcher and put its folder first on PATH, where `slicer.util` looks for it."""
    launcher = folder / ("PythonSlicer.cmd" if os.name == "nt" else "PythonSlicer")
    text = _WINDOWS if os.name == "nt" else _UNIX
    launcher.write_text(text.format(python=sys.executable), encoding="utf-8", newline="")
    launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR)
    if str(folder) not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([str(folder), os.environ["PATH"]])
    return launcher
