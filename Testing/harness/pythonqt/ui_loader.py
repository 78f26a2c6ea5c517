"""`QUiLoader` with Slicer's widget classes; the file's connections are made in Python, as their types need no C++."""

import io
import xml.etree.ElementTree as ET
from typing import Any

from PySide6 import QtCore, QtUiTools

from harness.not_simulated import NotSimulated
from harness.pythonqt import faults, objects, stand_ins
from harness.pythonqt.signals import connect

_Native = QtUiTools.QUiLoader
_native_load, _native_create = _Native.load.descriptor, _Native.createWidget.descriptor


class _Factory(_Native):
    """Makes stand-ins where a .ui file names a class of ctk or Slicer."""

    made: list[Any]

    def createWidget(self, kind: str, parent: Any = None, name: str = "") -> Any:
        widget = self._create(kind, parent, name)
        self.made.append(widget)  # PySide6 would forget the Python half
        return widget

    def _create(self, kind: str, parent: Any, name: str) -> Any:
        if kind in stand_ins.CLASSES:
            widget = stand_ins.CLASSES[kind](parent)
            widget.objectName = name
            return widget
        return _native_create(self, kind, parent, name)


def load(self: Any, source: Any, parent: Any = None) -> Any:
    """Load from a QFile, as `slicer.util.loadUI` does; None where the file is not readable."""
    tree = ET.ElementTree(ET.fromstring(bytes(source.readAll())))
    _refuse_unknown_classes(tree)
    connections = _take_connections(tree)
    _strip_custom_headers(tree)
    buffer = QtCore.QBuffer()
    buffer.setData(QtCore.QByteArray(_bytes(tree)))
    buffer.open(QtCore.QIODevice.ReadOnly)
    factory = _Factory()
    factory.made = []
    objects.LOADING.append(factory)
    try:
        widget = _native_load(factory, buffer, parent)
    finally:
        objects.LOADING.pop()
    if widget is not None:
        object.__getattribute__(widget, "__dict__")["_made"] = factory.made
        _connect(widget, connections)
    return widget


def _refuse_unknown_classes(tree: ET.ElementTree) -> None:
    """Raise NotSimulated before C++ asks for the widget, where an exception would be lost."""
    kinds = {str(one.get("class")) for one in tree.iter("widget")}
    unknown = {kind for kind in kinds if kind.startswith(("ctk", "qMRML", "qSlicer"))} - set(stand_ins.CLASSES)
    if unknown:
        raise NotSimulated(f"no stand-in in the harness for {', '.join(sorted(unknown))}, used in a .ui file")


def _bytes(tree: ET.ElementTree) -> bytes:
    out = io.BytesIO()
    tree.write(out, encoding="utf-8", xml_declaration=True)
    return out.getvalue()


def _take_connections(tree: ET.ElementTree) -> list[tuple[str, str, str, str]]:
    root = tree.getroot()
    found = []
    for block in root.findall("connections"):
        for one in block.findall("connection"):
            found.append(tuple(one.findtext(part, "").strip() for part in ("sender", "signal", "receiver", "slot")))
        root.remove(block)
    return found  # type: ignore[return-value]


def _strip_custom_headers(tree: ET.ElementTree) -> None:
    """The loader would make plain base classes of custom widgets that it can find there."""
    root = tree.getroot()
    for block in root.findall("customwidgets"):
        for one in block.findall("customwidget"):
            if (extends := one.find("extends")) is not None:
                one.remove(extends)


def _connect(widget: Any, connections: list[tuple[str, str, str, str]]) -> None:
    for sender, signal, receiver, slot in connections:
        ends = [_named(widget, name) for name in (sender, receiver)]
        with _as_ui_fault():
            if not all(ends) or not connect(ends[0], signal, ends[1], slot):
                faults.record(faults.UI_CONNECTION, f"{sender}.{signal} -> {receiver}.{slot}")


class _as_ui_fault:
    """A connect that fails because of the .ui file is recorded once, as what it is."""

    def __enter__(self) -> None:
        self._before = faults.taken()

    def __exit__(self, *_: object) -> None:
        after = [fault for fault in faults.taken() if fault.kind != faults.CONNECT]
        for fault in (*self._before, *after):
            faults.record(fault.kind, fault.what)


def _named(widget: Any, name: str) -> Any:
    return widget if widget.objectName == name else widget.findChild(QtCore.QObject, name)
