"""What this machine can do, found out by doing it.

PyTorch and OpenGL are tried in processes of their own: half-installed, they end the process that loads them.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import psutil

import medseg
from medseg.engines import cards, weights
from medseg.errors import BadInput

PACKAGES = (
    "numpy",
    "scipy",
    "SimpleITK",
    "nibabel",
    "torch",
    "monai",
    "safetensors",
    "openvino",
    "nnunetv2",
    "deepbet",
    "pydicom",
    "highdicom",
    "matplotlib",
    "jinja2",
)
_PROBE_SECONDS = 120


def examine() -> dict[str, Any]:
    """Return everything, as JSON values: python, memory, torch, gl, packages, models."""
    memory = psutil.virtual_memory()
    return {
        "medseg": medseg.__version__,
        "python": f"{platform.python_version()} at {sys.executable}",
        "platform": platform.platform(),
        "cpu_cores": psutil.cpu_count(logical=False) or psutil.cpu_count(),
        "memory_gb": {"total": _gigabytes(memory.total), "available": _gigabytes(memory.available)},
        "torch": probe("medseg.inference.probe"),
        "gl": probe("medseg.engines.gl_probe"),
        "packages": {name: _version(name) for name in PACKAGES},
        "models": models(),
    }


def probe(module: str) -> dict[str, Any]:
    """Run a module in a process of its own and return the JSON object it prints.

    A process that dies is an answer too: {"works": false, "why": ...}.
    """
    command = [sys.executable, "-m", module]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"works": False, "why": f"gave no answer within {_PROBE_SECONDS} s"}
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        return {"works": False, "why": f"loading it ended the process ({how}): {last}"}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def models() -> list[Mapping[str, Any]]:
    """Return each model's name, version and whether its weights are there and right."""
    return [{"name": s.card.name, "version": s.card.version, "problem": problem(s)} for s in cards.listed()]


def problem(stored: cards.StoredCard) -> str:
    """Return what is wrong with a model's weights, or ""."""
    try:
        weights.located(stored)
    except BadInput as fault:
        return str(fault)
    return ""


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _gigabytes(size: int) -> float:
    return round(size / 2**30, 1)
