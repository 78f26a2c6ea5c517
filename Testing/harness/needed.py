"""What harness tests need. Missing: skipped with the reason; in continuous integration it is a failure."""

import importlib.util
import os
from typing import NoReturn

import pytest


def core() -> None:
    """Slicer's core."""
    _packages("slicer_core", install="slicer-core==5.12.4.0")


def qt() -> None:
    """PySide6, which PythonQt is emulated over."""
    _packages("PySide6", install="PySide6-Essentials")


def graphics() -> None:
    """Rendering without a screen."""
    from harness.graphics import fault

    if why := fault():
        _absent(f"rendering does not work here: {why}")


def _packages(name: str, install: str) -> None:
    if importlib.util.find_spec(name) is None:
        _absent(f"{name} is not installed: pip install {install}")


def _absent(why: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(why, pytrace=False)
    pytest.skip(why, allow_module_level=True)
