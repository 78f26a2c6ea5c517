"""`slicer.packaging` of Slicer 5.12 in testing mode: nothing is installed, see `harness.installs.asked`."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from harness import installs
from harness.installs import pip_install

__all__ = ["load_requirements", "pip_check", "pip_ensure", "pip_install"]


def load_requirements(path: str | Path) -> list[Requirement]:
    """Read a requirements file; comments and empty lines are left out."""
    lines = [line.partition("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line]


def pip_check(req: Any) -> bool:
    """Return whether everything is installed in a version that fits."""
    return all(_installed(Requirement(str(one))) for one in _list(req))


def pip_ensure(
    requirements: Any,
    constraints: str | Path | None = None,
    skip_packages: list[str] | None = None,
    prompt_install: bool = True,
    prompt_restart: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    show_progress: bool = True,
) -> None:
    """Note what is asked for; in the application `--testing` makes it do nothing."""
    installs.asked.append({"requirements": [str(r) for r in _list(requirements)], "skip_packages": skip_packages or [],
                  "constraints": constraints, "requester": requester})  # fmt: skip


def _list(requirements: Any) -> Sequence[Any]:
    return requirements if isinstance(requirements, list) else [requirements]


def _installed(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(importlib.metadata.version(requirement.name), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return False
