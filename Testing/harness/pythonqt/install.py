"""Changes PySide6's classes in place and puts `qt` and `ctk` into sys.modules; before any other import of Qt."""

import sys
import types
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

APPLICATION = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])

from harness.pythonqt import calls, dialogs, enums, faults, objects, properties, signals  # noqa: E402

_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)
_METHOD = type(QtCore.QObject.inherits)
_STATIC = type(QtCore.QTimer.singleShot)
_RENAMED = {("QLayout", "contentsMargins")}  # became a property in Qt 6
_METHODS_TOO = {("QTimer", "singleShot")} | _RENAMED  # the method of that name wins
_meta_object = QtCore.QObject.metaObject


def _classes() -> list[type]:
    found = {value for module in _MODULES for name in dir(module) if isinstance(value := getattr(module, name), type)}
    kept = [kind for kind in found if type(kind) is type(QtCore.QObject)]
    return sorted(kept, key=lambda kind: (len(kind.__mro__), kind.__name__))


def _prepare(kind: type) -> None:
    for name, value in list(vars(kind).items()):
        if name.startswith("__"):
            continue
        if isinstance(value, _METHOD):
            setattr(kind, name, calls.Method(value))
        elif isinstance(value, staticmethod | _STATIC):
            setattr(kind, name, calls.StaticMethod(getattr(kind, name)))
        elif type(value) is QtCore.Signal:
            setattr(kind, name, signals.SignalDescriptor(name, value))


def adopt(kind: type) -> type:
    """Make a class behave as a wrapper of PythonQt; also used, as a decorator, for stand-ins of Slicer's widgets."""
    objects.NATIVE.add(kind)
    objects.NATIVE_GET.setdefault(kind, objects.NATIVE_GET.get(kind.__mro__[1]))
    _wrap_signals(kind)
    if issubclass_plainly(kind, QtCore.QObject):
        _add_properties(kind)
        kind.__setattr__ = objects.set_attribute  # type: ignore[assignment, method-assign]
        kind.__getattribute__ = objects.get_attribute  # type: ignore[method-assign, assignment]
        kind.__getattr__ = objects.missing  # type: ignore[attr-defined]
        kind.__eq__, kind.__ne__ = objects.equal, objects.unequal  # type: ignore[assignment, method-assign]
        kind.__hash__ = object.__hash__  # type: ignore[method-assign]
        kind.__bool__ = objects.truth  # type: ignore[attr-defined]
    else:
        kind.__getattribute__ = objects.get_attribute  # type: ignore[method-assign, assignment]
        kind.__setattr__ = objects.set_value_attribute  # type: ignore[assignment, method-assign]
    return kind


def issubclass_plainly(kind: type, other: type) -> bool:
    return other in kind.__mro__


def _add_properties(kind: Any) -> None:
    meta = kind.staticMetaObject
    if meta.className() != kind.__name__:
        return
    for number in range(meta.propertyOffset(), meta.propertyCount()):
        described = meta.property(number)
        made_here = type(vars(kind).get(described.name())) is QtCore.Property  # a stand-in's: PySide6 needs it there
        if not made_here and (kind.__name__, described.name()) not in _METHODS_TOO:
            setattr(kind, described.name(), properties.QtProperty(described))
    for name in [name for name, value in vars(kind).items() if isinstance(value, calls.Method)]:
        if inherited := _property_above(kind, name):
            setattr(kind, name, inherited)


def _property_above(kind: type, name: str) -> properties.QtProperty | None:
    """Return the property whose virtual getter (sizeHint, spacing) this class overrides."""
    found = (vars(one).get(name) for one in kind.__mro__[1:])
    return next((value for value in found if isinstance(value, properties.QtProperty)), None)


def _wrap_signals(kind: type) -> None:
    for name, value in list(vars(kind).items()):
        if type(value) is QtCore.Signal:  # its isinstance loses a reference to True each time
            setattr(kind, name, signals.SignalDescriptor(name, value))


def replace_constructor(kind: type) -> None:
    native = kind.__init__  # type: ignore[misc]

    def construct(self: Any, *args: Any, **keywords: Any) -> None:
        if keywords:
            raise ValueError(f"{kind.__name__} takes no keyword arguments")
        if type(self) not in objects.NATIVE:
            _wrap_signals(type(self))
        calls.call(native, kind, (self,), args)

    kind.__init__ = construct  # type: ignore[misc]


def _class_name(self: Any) -> str:
    return str(_meta_object(self).className())


def _delete(self: Any) -> None:
    shiboken6.delete(self)


def _extend_object() -> None:
    kind: Any = QtCore.QObject
    kind.connect, kind.disconnect = signals.ConnectMethod(signals.connect), signals.ConnectMethod(signals.disconnect)
    kind.className, kind.delete = _class_name, _delete
    meta = kind.staticMetaObject
    kind.name = properties.QtProperty(meta.property(meta.indexOfProperty("objectName")), "name")
    find, find_all = kind.findChild.descriptor, kind.findChildren.descriptor
    kind.findChild = lambda self, what, *name: find(self, *_by_class(self, what, *name))
    kind.findChildren = lambda self, *what: _find_children(find_all, self, *what)


def _by_class(self: Any, what: Any, *name: str) -> tuple[Any, ...]:
    return (getattr(sys.modules["qt"], what) if isinstance(what, str) else what, *name)


def _find_children(find_all: Any, self: Any, *what: Any) -> tuple[Any, ...]:
    if not what:
        raise ValueError("Called findChildren with wrong arguments: ()")
    return tuple(find_all(self, *_by_class(self, *what)))


def _module(classes: list[type]) -> types.ModuleType:
    module = types.ModuleType("qt", "PythonQt's `qt` emulated over PySide6.")
    for source in _MODULES:
        for name in dir(source):
            if name.startswith(("Q", "q")) or name in ("Signal", "Slot", "Property"):
                setattr(module, name, getattr(source, name))
    return module


def _install() -> types.ModuleType:
    classes = _classes()
    for kind in classes:
        objects.NATIVE_GET[kind] = kind.__getattribute__
        enums.lay_out(kind)
    for kind in classes:
        _prepare(kind)
        adopt(kind)
        replace_constructor(kind)
    _extend_object()
    meta: Any = type(QtCore.QObject)
    meta.__instancecheck__, meta.__subclasscheck__ = objects.instance_check, objects.subclass_check
    faults.watch_unraised()
    dialogs.guard()
    return _module(classes)


sys.modules["qt"] = qt = _install()

from harness.pythonqt import ctk_widgets, mrml_widgets, node_combo_box, stand_ins, timers, ui_loader  # noqa: E402, F401

QtCore.QTimer.singleShot = staticmethod(timers.single_shot)
QtUiTools.QUiLoader.load = ui_loader.load
sys.modules["ctk"] = ctk = stand_ins.module()
