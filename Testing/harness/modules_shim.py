"""`slicer.modules`: modules by their lower-case name."""

from collections.abc import Iterator, Mapping
from typing import Any

from harness.not_simulated import NotSimulated


class Module:
    """One loaded module: `slicer.modules.volumes`. `logic()` is a method, as in PythonQt."""

    def __init__(self, name: str, logic: Any, **facts: Any) -> None:
        self.name = name
        self.title = facts.get("title", name)
        self.path = facts.get("path", "")
        self._logic = logic
        self._widget = facts.get("widget")

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> Any:
        if self._widget is None:
            raise NotSimulated(f"module {self.name} has no widget in the harness")
        return self._widget


class Modules:
    """Attribute access by lower-case name; tests and loaded modules add entries."""

    def __init__(self, logics: Mapping[str, Any]) -> None:
        for name, logic in logics.items():
            self._add(Module(name, logic))

    def _add(self, module: Module) -> None:
        setattr(self, module.name.lower(), module)

    def _all(self) -> Iterator[Module]:
        return (value for value in vars(self).values() if isinstance(value, Module))
