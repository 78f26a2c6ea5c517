"""Attribute access, truth, equality and isinstance of Qt objects, as PythonQt has them."""

from typing import Any

import shiboken6
from PySide6.QtCore import Property, QObject, Qt, SignalInstance

from harness.pythonqt.calls import Method, StaticMethod
from harness.pythonqt.properties import WRITERS, QtProperty
from harness.pythonqt.signals import ConnectMethod, SignalDescriptor

NATIVE: set[type] = set()
LOADING: list[object] = []  # the .ui loads under way
NATIVE_GET: dict[Any, Any] = {}
OURS = (Method, QtProperty, SignalDescriptor, ConnectMethod)
_dynamic_names, _read, _write = QObject.dynamicPropertyNames, QObject.property, QObject.setProperty
_find_child, _direct = QObject.findChild, Qt.FindChildOption.FindDirectChildrenOnly
_plain_set = shiboken6.Shiboken.Object.__setattr__  # the only one of C that our classes still have above them


def native_class(kind: type) -> type | None:
    """Return the nearest class of Qt (or stand-in of one) among the ancestors."""
    return next((one for one in kind.__mro__ if one in NATIVE), None)


def instance_check(wanted: type, value: object) -> bool:
    return subclass_check(wanted, type(value))


def subclass_check(wanted: type, kind: type) -> bool:
    """Wrappers do not inherit: a QPushButton is no QWidget; a Python subclass of QWidget is one."""
    if wanted in NATIVE and (nearest := native_class(kind)) is not None:
        return nearest is wanted
    return wanted in getattr(kind, "__mro__", ())


def truth(self: Any) -> bool:
    return bool(shiboken6.isValid(self))


def equal(self: Any, other: object) -> bool:
    """A destroyed object equals None, and still is not None."""
    return not shiboken6.isValid(self) if other is None else self is other


def unequal(self: Any, other: object) -> bool:
    return not equal(self, other)


def get_attribute(self: Any, name: str) -> Any:
    """What we put into the classes goes first: PySide6 answers some names (connect) without looking there."""
    member = _member(type(self), name)
    if isinstance(member, OURS):
        return member.__get__(self, type(self))
    found = NATIVE_GET[native_class(type(self))](self, name)
    return member.of_object(self, found) if isinstance(member, StaticMethod) else found


def missing(self: Any, name: str) -> Any:
    """Look for a dynamic property, then for a child of that name."""
    if not name.startswith("__") and shiboken6.isValid(self):
        if name.encode() in _dynamic(self):
            return _read(self, name)
        if (child := _find_child(self, QObject, name, _direct)) is not None:
            return child
    raise AttributeError(f"{type(self).__name__} has no attribute named {name!r}")


def set_attribute(self: Any, name: str, value: Any) -> None:
    """Properties, then dynamic properties; new attributes only on Python subclasses, and never over a slot."""
    member = _member(type(self), name)
    if type(value) is SignalInstance:  # PySide6 keeps them there
        _plain_set(self, name, value)
    elif isinstance(member, QtProperty):
        member.__set__(self, value)
    elif type(member) is Property:
        WRITERS[member](self, value)
    elif shiboken6.isValid(self) and name.encode() in _dynamic(self):
        _write(self, name, value)
    elif LOADING and shiboken6.Object in type(value).__mro__:
        return  # PySide6's .ui loader sets each child on its parent; `missing` finds them by name
    elif type(self) in NATIVE or isinstance(member, Method | StaticMethod | SignalDescriptor):
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r} that can be set")
    else:
        _plain_set(self, name, value)


def set_value_attribute(self: Any, name: str, value: Any) -> None:
    """For values (QColor, QSize): nothing can be set on them, except on Python subclasses."""
    if type(self) in NATIVE:
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r} that can be set")
    _plain_set(self, name, value)


def _member(kind: type, name: str) -> Any:
    return next((vars(one)[name] for one in kind.__mro__ if name in vars(one)), None)


def _dynamic(self: Any) -> list[bytes]:
    return [bytes(name) for name in _dynamic_names(self)]
