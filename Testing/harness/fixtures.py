"""Fixtures of harness tests; a folder's conftest.py imports the ones it wants."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness import needed


@pytest.fixture(scope="session")
def application() -> Iterator[Any]:
    """Slicer's core, started; `slicer.mrmlScene`, `slicer.app` and `slicer.modules` are set."""
    needed.core()
    from harness.application import start

    started = start()
    yield started
    started.close()


@pytest.fixture
def scene(application: Any) -> Iterator[Any]:
    """The scene, closed after the test."""
    application.clear()
    yield application.scene
    application.clear()


@pytest.fixture
def desktop(scene: Any) -> Any:
    """The module `harness.desktop`, started, with a scene that is closed after the test."""
    needed.qt()
    from harness import desktop as started

    started.start()
    return started


@pytest.fixture
def qt() -> Any:
    """PythonQt's `qt`."""
    needed.qt()
    from harness.pythonqt.install import qt as module

    return module


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    """Nothing may go wrong that Slicer would only have printed."""
    from harness.pythonqt import faults

    faults.taken()
    yield
    found = faults.taken()
    assert not found, "\n".join(f"{fault.kind}: {fault.what}" for fault in found)
