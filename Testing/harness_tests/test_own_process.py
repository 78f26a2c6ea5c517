"""What a test file's own process reports to the run outside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = "from harness.own_process import pytest_collect_file, pytest_pycollect_makemodule\n"


def outcome(folder: Path, code: str) -> tuple[int, str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_inside.py").write_text(code)
    places = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    outside = {name: value for name, value in os.environ.items() if name != "MEDSEG_HARNESS_PROCESS"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)],
        env=outside | {"PYTHONPATH": places},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout


def test_passing_is_passing(tmp_path: Path) -> None:
    code, text = outcome(tmp_path, "def test_it(): pass\n")
    assert (code, "1 passed" in text) == (0, True)


def test_a_failure_shows_the_output_of_the_inner_run(tmp_path: Path) -> None:
    code, text = outcome(tmp_path, "def test_it(): assert 'cheese' == 'chalk'\n")
    assert (code, "cheese" in text) == (1, True)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_crash_is_a_failure(tmp_path: Path) -> None:
    code, text = outcome(tmp_path, "import os\ndef test_it(): os.kill(os.getpid(), 11)\n")
    assert (code, "ended with -11" in text) == (1, True)


def test_a_skip_keeps_its_reason(tmp_path: Path) -> None:
    code, text = outcome(tmp_path, "import pytest\npytest.skip('no core here', allow_module_level=True)\n")
    assert (code, "no core here" in text, "1 skipped" in text) == (0, True, True)


def test_an_import_error_is_a_failure(tmp_path: Path) -> None:
    assert outcome(tmp_path, "import no_such_module\n")[0] == 1
