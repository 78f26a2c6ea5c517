"""A scripted module, unmodified, from loading to unloading; with SLICER_PYTHON_DIR on Slicer's own Python files."""

import gc
import importlib
import os
import subprocess
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from packaging.requirements import Requirement

from harness import needed

needed.core()
needed.qt()

import slicer  # noqa: E402

from harness import installs, slicer_python_path  # noqa: E402
from harness.pythonqt import faults, signals  # noqa: E402

FILE = Path(__file__).parent / "module/HarnessExample/HarnessExample.py"


@pytest.fixture
def module(desktop: Any) -> Iterator[Any]:
    loaded = desktop.LoadedModule(FILE)
    yield loaded
    loaded.unload()


@pytest.fixture
def panel(module: Any) -> Any:
    return module.open()


@pytest.fixture
def ramp(panel: Any) -> Any:
    array = np.arange(216, dtype=np.int16).reshape(6, 6, 6)
    node = slicer.util.addVolumeFromArray(array, name="Ramp")
    panel.ui.inputSelector.setCurrentNode(node)
    return node


def test_the_python_files_are_those_named(desktop: Any) -> None:
    import slicer.parameterNodeWrapper as wrapper

    place = Path(wrapper.__file__).parents[1]
    assert place == (slicer_python_path.theirs() or Path(slicer_python_path.__file__).parent / "slicer_python")


def test_a_module_has_its_facts(module: Any) -> None:
    assert (module.parent.title, list(module.parent.categories)) == ("Harness Example", ["Examples"])
    assert slicer.util.modulePath("HarnessExample") == str(FILE)


def test_parameters_and_widgets_follow_each_other(panel: Any, ramp: Any) -> None:
    assert panel.parameters.volume is ramp
    assert (panel.ui.thresholdSlider.value, panel.ui.thresholdSlider.maximum) == (100, 255)
    panel.ui.thresholdSlider.value = 120
    panel.ui.labelEdit.text = "dark"
    assert (panel.parameters.threshold, panel.parameters.label) == (120, "dark")
    panel.parameters.threshold = 10
    panel.parameters.inverted = True
    assert (panel.ui.thresholdSlider.value, panel.ui.invertedBox.checked) == (10, True)


def test_a_value_outside_its_range_is_refused(panel: Any) -> None:
    with pytest.raises(ValueError, match="255"):
        panel.parameters.threshold = 256
    assert panel.parameters.threshold == 100


def test_a_value_of_another_type_is_refused(panel: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        panel.parameters.threshold = "many"


def test_parameters_live_in_the_scene(panel: Any, ramp: Any) -> None:
    panel.parameters.threshold = 42
    node = panel.parameters.parameterNode
    assert float(node.GetParameter("threshold")) == 42
    assert node.GetNodeReference("volume") is ramp
    assert type(panel.parameters)(node).threshold == 42


def test_connections_of_the_ui_file_work(panel: Any) -> None:
    assert panel.ui.inputSelector.mrmlScene() is slicer.mrmlScene
    panel.ui.invertedBox.checked = True
    assert not panel.ui.labelEdit.enabled


def test_apply_does_the_work(desktop: Any, panel: Any, ramp: Any) -> None:
    panel.ui.thresholdSlider.value = 150
    panel.ui.applyButton.click()
    output = panel.parameters.output
    segment = output.GetSegmentation().GetNthSegmentID(0)
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(output, segment, ramp)
    assert np.array_equal(mask, slicer.util.arrayFromVolume(ramp) > 150)
    assert panel.ui.statusLabel.text == "1 segment"
    desktop.process_events(20)
    assert panel.ui.statusLabel.text == "done"


def test_closing_the_scene_is_survived_and_the_module_opens_again(module: Any, panel: Any, ramp: Any) -> None:
    slicer.mrmlScene.Clear(0)
    assert not panel.ui.applyButton.enabled
    assert module.open().parameters.volume is None


def test_what_a_hidden_panel_misses_it_shows_on_return(module: Any, panel: Any) -> None:
    node = panel.parameters.parameterNode
    module.leave()
    type_of_parameters = module.python.Parameters
    type_of_parameters(node).threshold = 77
    assert module.open().ui.thresholdSlider.value == 77


def test_an_exception_in_enter_only_reaches_the_console(module: Any, panel: Any) -> None:
    def broken() -> None:
        raise RuntimeError("enter is broken")

    panel.enter = broken
    with faults.expected(faults.EXCEPTION, "enter is broken"):
        module.open()


def test_the_modules_own_test_runs(module: Any) -> None:
    slicer.harness_example_ran = False
    module.module.runTest()
    assert slicer.harness_example_ran


def test_an_unloaded_module_watches_nothing(module: Any, panel: Any) -> None:
    panel_class = module.python.HarnessExampleWidget
    cleaned = []
    panel_class.cleanup, real = lambda self: (cleaned.append(1), real(self)), panel_class.cleanup
    module.unload()
    slicer.mrmlScene.Clear(0)
    assert cleaned == [1]


def test_a_deleted_panel_leaves_nothing_behind(module: Any) -> None:
    panel = module.open()
    slicer.util.addVolumeFromArray(np.zeros((2, 2, 2), np.int16))
    gone = weakref.ref(panel.ui.inputSelector)
    connections = len(signals._connections)
    del panel
    module.unload()
    gc.collect()
    assert gone() is None
    assert len(signals._connections) < connections


def test_the_panel_is_drawn(desktop: Any, module: Any, panel: Any, tmp_path: Path) -> None:
    from PIL import Image

    picture = np.asarray(Image.open(desktop.screenshot(panel.parent, tmp_path / "panel.png")).convert("L"))
    assert min(picture.shape) > 100
    assert picture.std() > 5


@pytest.fixture
def asked(desktop: Any) -> Iterator[list[dict[str, Any]]]:
    """What was asked to be installed."""
    installs.asked.clear()
    yield installs.asked
    slicer_python_path.with_packaging(True)


def test_slicer_5_12_has_packaging(asked: list[dict[str, Any]]) -> None:
    slicer_python_path.with_packaging(True)
    packaging = importlib.import_module("slicer.packaging")
    assert packaging.pip_check(Requirement("numpy>=1.26"))
    assert not packaging.pip_check(Requirement("numpy>=1000"))
    packaging.pip_ensure(["no-such-package-anywhere>=1"], requester="test")
    if not slicer_python_path.theirs():
        assert asked[0]["requirements"] == ["no-such-package-anywhere>=1"]


def test_slicer_5_10_has_pip_install_only(asked: list[dict[str, Any]]) -> None:
    slicer_python_path.with_packaging(False)
    with pytest.raises(ImportError):
        importlib.import_module("slicer.packaging")
    slicer.util.pip_install("no-such-package-anywhere")
    assert asked == [{"requirements": "no-such-package-anywhere"}]


def test_a_python_module_runs_beside_the_event_loop(desktop: Any) -> None:
    lines: list[str] = []
    ended: list[int] = []
    slicer.util.executePythonModule(
        "this", [], blocking=False, logCallback=lines.append, completedCallback=ended.append
    )
    assert (lines, ended) == ([], []), "it has not waited"
    deadline = time.monotonic() + 30
    while not ended and time.monotonic() < deadline:
        desktop.process_events(20)
    assert ended == [0]
    assert "Beautiful is better than ugly." in "\n".join(lines)


@pytest.mark.skipif(os.name == "nt", reason="how long a command file lives is the shell's matter there")
def test_pythonslicer_is_a_launcher_with_a_child(desktop: Any) -> None:
    process = subprocess.Popen(["PythonSlicer", "-c", "import time; print(1, flush=True); time.sleep(60)"],
                               stdout=subprocess.PIPE)  # fmt: skip
    process.stdout.readline()
    (child,) = psutil.Process(process.pid).children()
    child.kill()
    assert process.wait(10) != 0


def test_a_ui_connection_to_nothing_is_a_fault(desktop: Any, tmp_path: Path) -> None:
    ui = (FILE.parent / "Resources/UI/HarnessExample.ui").read_text(encoding="utf-8")
    broken = tmp_path / "broken.ui"
    broken.write_text(ui.replace("toggled(bool)", "tottered(bool)"), encoding="utf-8")
    with faults.expected(faults.UI_CONNECTION, "tottered"):
        slicer.util.loadUI(str(broken))


def test_a_widget_class_without_stand_in_is_named(desktop: Any, tmp_path: Path) -> None:
    from harness.not_simulated import NotSimulated

    ui = (FILE.parent / "Resources/UI/HarnessExample.ui").read_text(encoding="utf-8")
    unknown = tmp_path / "unknown.ui"
    unknown.write_text(ui.replace("ctkSliderWidget", "ctkThermometer"), encoding="utf-8")
    with pytest.raises(NotSimulated, match="ctkThermometer"):
        slicer.util.loadUI(str(unknown))
