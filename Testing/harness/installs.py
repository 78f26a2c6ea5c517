"""What was asked to be installed: no test installs anything."""

from typing import Any

asked: list[dict[str, Any]] = []


def pip_install(requirements: Any, **options: Any) -> None:
    """Note it, in place of `slicer.util.pip_install` of Slicer 5.10 and `slicer.packaging.pip_install` of 5.12."""
    asked.append({"requirements": requirements, **options})
