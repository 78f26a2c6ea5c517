"""Registry of the stand-ins for ctk's and Slicer's widget classes, and what they share."""

import functools
import types
from collections.abc import Callable, Iterable
from typing import Any

from PySide6 import QtCore

from harness.not_simulated import NotSimulated
from harness.pythonqt.properties import WRITERS
from harness.pythonqt.values import Unfit, property_value

CLASSES: dict[str, Any] = {}
Signal = QtCore.Signal
_CTK_CLASSES = """
    ctkAxesWidget ctkCheckableComboBox ctkCoordinatesWidget ctkDICOMBrowser ctkExpandButton ctkFileDialog
    ctkMatrixWidget ctkMenuButton ctkMessageBox ctkPopupWidget ctkProxyStyle ctkSearchBox ctkSettingsPanel
    ctkThumbnailLabel ctkTransferFunction ctkTreeComboBox ctkVTKSliceView ctkWidgetsUtils ctkWorkflow
"""
_TYPE_NAMES = {str: "QString", float: "double", int: "int", bool: "bool"}


def stand_in(exists_in_slicer: str = "") -> Callable[[type], type]:
    """Decorate a stand-in; the names given are real properties and slots of the class that are not simulated."""

    def register(kind: Any) -> type:
        from harness.pythonqt.install import adopt, replace_constructor

        adopt(kind)
        replace_constructor(kind)
        kind.__getattr__ = functools.partialmethod(_missing, frozenset(exists_in_slicer.split()))
        CLASSES[kind.__name__] = kind
        return kind

    return register


def _missing(self: Any, known: Iterable[str], name: str) -> Any:
    from harness.pythonqt.objects import missing

    if name in known:
        raise NotSimulated(f"{type(self).__name__}.{name} exists in Slicer but is not simulated by the harness")
    return missing(self, name)


def state(widget: Any) -> dict[str, Any]:
    """Return the Python side of a stand-in: attributes that module code cannot see by name."""
    inside: dict[str, Any] = object.__getattribute__(widget, "__dict__").setdefault("_state", {})
    return inside


def kept(kind: Any, name: str, default: Any, changed: str = "") -> Any:
    """Make a Qt property that remembers a value and calls the method `changed` after a change."""

    def read(self: Any) -> Any:
        return state(self).get(name, default)

    def write(self: Any, value: Any) -> None:
        try:
            value = property_value(value, _TYPE_NAMES.get(kind, str(kind)), is_enum=False)
        except Unfit as error:
            raise AttributeError(f"property {name!r} refuses {value!r}") from error
        if value != read(self):
            state(self)[name] = value
            if changed:
                getattr(self, changed)()

    return computed(kind, read, write)


def computed(kind: Any, read: Callable[[Any], Any], write: Callable[[Any, Any], None]) -> Any:
    """Make a Qt property of two functions."""
    made = QtCore.Property(kind, read, write)
    WRITERS[made] = write
    return made


def setter(name: str) -> Callable[[Any, Any], None]:
    """Make the slot that sets a property, for the few properties whose setter is one."""

    def set_it(self: Any, value: Any) -> None:
        setattr(self, name, value)

    return set_it


def read_only(kind: Any, read: Callable[[Any], Any]) -> Any:
    """Make a Qt property that cannot be assigned."""

    def refuse(self: Any, value: Any) -> None:
        raise AttributeError(f"a property of {type(self).__name__} is not writable")

    made = QtCore.Property(kind, read)
    WRITERS[made] = refuse
    return made


def module() -> types.ModuleType:
    """Return `ctk`: an unknown class raises AttributeError, a real one without stand-in NotSimulated."""
    made = types.ModuleType("ctk", "The classes of CTK that have a stand-in.")
    made.__getattr__ = _ctk_class  # type: ignore[method-assign]
    return made


def _ctk_class(name: str) -> Any:
    if name in CLASSES and name.startswith("ctk"):
        return CLASSES[name]
    return _absent(name, _CTK_CLASSES.split())


def _absent(name: str, known: Iterable[str]) -> Any:
    if name in known:
        raise NotSimulated(f"{name} exists in Slicer but has no stand-in in the harness")
    raise AttributeError(f"no class {name!r}")
