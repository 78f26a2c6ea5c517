"""The emulation answers as PythonQt did, probe by probe; known differences are listed with their cause."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from harness import needed

needed.qt()

from harness.pythonqt import faults  # noqa: E402
from harness.pythonqt.install import qt  # noqa: E402

GROUPS = json.loads(Path(__file__).with_name("pythonqt_observed.json").read_text(encoding="utf-8"))["probes"]
PROBES = {name: probe for group in GROUPS.values() for name, probe in group.items()}
LEAST_AGREEMENT = 165


def answer(code: str) -> str:
    """Return the repr of `r` after the code ran, or the exception's name."""
    space: dict[str, Any] = {"qt": qt, "here": __file__}
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            exec(code, space)
    except Exception as error:  # noqa: BLE001 -- which one is the answer
        return f"EXC {type(error).__name__}"
    finally:
        faults.taken()
    return repr(space.get("r", "<no r>"))


@pytest.mark.parametrize("name", [name for name, probe in PROBES.items() if "differs" not in probe])
def test_answers_as_pythonqt(name: str) -> None:
    assert answer(PROBES[name]["run"]) == PROBES[name]["answer"]


@pytest.mark.parametrize("name", [name for name, probe in PROBES.items() if "differs" in probe])
def test_a_listed_difference_is_still_one(name: str) -> None:
    assert answer(PROBES[name]["run"]) != PROBES[name]["answer"], "agrees by now: take it from the list"


def test_enough_probes_agree() -> None:
    assert len(PROBES) == 185
    assert sum("differs" not in probe for probe in PROBES.values()) >= LEAST_AGREEMENT
