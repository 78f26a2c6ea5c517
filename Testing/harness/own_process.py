"""Each test file in a process of its own: the scene, the patched Qt classes and `sys.modules` do not survive one.

A folder's conftest.py takes part by importing both hooks:
`from harness.own_process import pytest_collect_file, pytest_pycollect_makemodule  # noqa: F401`.
"""

import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

_INSIDE = "MEDSEG_HARNESS_PROCESS"
_LIMIT_S = 280  # pytest's own limit for a test is 300
_NOTHING_RAN = 5


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> Any:
    """Collect a file as one test that runs it in a new process; inside that process, as usual."""
    return None if _INSIDE in os.environ else SeparateFile.from_parent(parent, path=module_path)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Leave out doctests: looking for them would import the file out here."""
    found = yield
    return [collector for collector in found if type(collector).__name__ != "DoctestModule"]


class SeparateFile(pytest.File):
    """A test file seen from outside."""

    def collect(self) -> list["SeparateRun"]:
        return [SeparateRun.from_parent(self, name="own process")]


class SeparateRun(pytest.Item):
    """The run of one file; its output is the failure's text."""

    def runtest(self) -> None:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", str(self.path), "-q", "-rs", "--no-header", "-p", "no:cacheprovider"],
            env=os.environ | {_INSIDE: "1", "PYTHONFAULTHANDLER": "1"},
            cwd=self.config.rootpath,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        if ran.returncode not in (0, _NOTHING_RAN):
            raise Broken(f"{ran.stdout[-12000:]}\n{ran.stderr[-3000:]}\nended with {ran.returncode}")
        if " passed" not in ran.stdout:
            pytest.skip("; ".join(dict.fromkeys(re.findall(r"^SKIPPED \[\d+\] \S+ (.*)$", ran.stdout, re.M))))
        self.add_report_section("call", "own process", ran.stdout.strip().splitlines()[-1])

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        return str(excinfo.value) if isinstance(excinfo.value, Broken) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.path.name


class Broken(Exception):
    """The file's tests failed, or their process ended by a crash."""
