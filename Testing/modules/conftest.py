"""Module tests: each file in a process of its own, with Slicer's core and the emulation of PythonQt."""

import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.fixtures import application, desktop, no_faults, scene  # noqa: F401
from harness.own_process import pytest_collect_file, pytest_pycollect_makemodule  # noqa: F401

ROOT = Path(__file__).parents[2]
HEAD = ROOT / "Resources/SampleData/colin27_t1.nii.gz"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of models, empty."""
    monkeypatch.setenv("MEDSEG_HOME", str(tmp_path / "home"))
    import medseg.desktop.settings as stored

    monkeypatch.setattr(stored, "_HOME_AT_START", str(tmp_path / "home"))
    folder = tmp_path / "home" / "models"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def module(desktop: Any, models: Path) -> Iterator[Any]:  # noqa: F811
    """AI Segmentation, loaded and not opened."""
    loaded = desktop.LoadedModule(ROOT / "Modules/MedSegSegmentation/MedSegSegmentation.py")
    yield loaded
    loaded.unload()


@pytest.fixture
def correction(desktop: Any, models: Path) -> Iterator[Any]:  # noqa: F811
    """Manual Correction, loaded and not opened, with a reader and a folder of sessions of its own."""
    from medseg.desktop import correction_settings

    correction_settings.set_folder("")
    correction_settings.set_reader("reader one")
    loaded = desktop.LoadedModule(ROOT / "Modules/MedSegCorrection/MedSegCorrection.py")
    yield loaded
    loaded.unload()


@pytest.fixture
def case(correction: Any, scene: Any) -> Any:  # noqa: F811
    """Manual Correction with an AI mask on the desk, of which a part is missing."""
    from correction_phantom import head, on_the_desk, segmented

    volume = head()
    return on_the_desk(correction, volume, segmented(volume))


@pytest.fixture
def until(desktop: Any) -> Callable[..., None]:  # noqa: F811
    """Runs the event loop until a condition holds."""

    def wait(condition: Callable[[], Any], within: float = 60.0) -> None:
        deadline = time.monotonic() + within
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError("it did not come")
            desktop.process_events(10)

    return wait


@pytest.fixture
def ball(scene: Any) -> Callable[..., Any]:  # noqa: F811
    """Makes a small volume node with a bright ball in noise."""
    import slicer

    def make(name: str = "Ball", size: int = 24) -> Any:
        place = np.stack(np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij"))
        noise = np.random.default_rng(0).normal(100, 5, (size,) * 3)
        array = np.where(np.linalg.norm(place, axis=0) < 0.6, 300, noise).astype(np.float32)
        return slicer.util.addVolumeFromArray(array, name=name)

    return make


@pytest.fixture
def has_brain_model() -> None:
    if importlib.util.find_spec("deepbet") is None:
        pytest.skip("deepbet, which carries the weights of the default model, is not installed")
