"""What this machine can do is found out by doing it, in processes that may die of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medseg.engines import diagnosis


def test_torch_and_gl_are_tried_for_real() -> None:
    torch = diagnosis.probe("medseg.inference.probe")
    assert torch["works"]
    assert torch["device"]
    gl = diagnosis.probe("medseg.engines.gl_probe")
    assert gl["why"]
    if os.environ.get("CI") == "true":
        assert gl["works"], gl["why"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
        ("raise ImportError('half a library')", "half a library"),
        ("import sys\nsys.exit(5)", "exit code 5"),
    ],
)
def test_a_probe_that_dies_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, why: str) -> None:
    (tmp_path / "dying_probe.py").write_text(body, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answer = diagnosis.probe("dying_probe")
    assert answer["works"] is False
    assert why in answer["why"]


def test_without_egl_the_answer_names_the_package_to_install() -> None:
    hidden = "import ctypes, json\ndef gone(name): raise OSError(name)\nctypes.CDLL = gone\n"
    code = hidden + "from medseg.engines.gl_probe import examine\nprint(json.dumps(examine()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "apt install libegl1" in done.stdout


def test_without_torch_the_answer_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answer = diagnosis.probe("medseg.inference.probe")
    assert answer["works"] is False
    assert "pip install 'medseg[inference]'" in answer["why"]


def test_everything_is_examined() -> None:
    found = diagnosis.examine()
    assert found["memory_gb"]["total"] > 0.5
    assert found["packages"]["numpy"]
    assert {"name": "brain-t1", "version": "1.0.2", "problem": ""} in found["models"]
