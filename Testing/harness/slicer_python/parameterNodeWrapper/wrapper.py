"""The decorator: a class of annotated attributes becomes a typed view of one parameter node."""

import typing
from collections.abc import Mapping
from typing import Any

import qt
import slicer
import vtk

from .binding import Binding, bind
from .fields import Field, field

SlicerParameterNamePropertyName = "SlicerParameterName"


def parameterNodeWrapper(classtype: type | None = None) -> Any:
    """Decorate with or without parentheses."""
    return _wrapped if classtype is None else _wrapped(classtype)


def findChildWidgetForParameter(widget: Any, parameter: str) -> Any:
    """Return the child whose SlicerParameterName is the parameter's, or None."""
    return _named_widgets(widget).get(parameter)


def _wrapped(owner: type) -> type:
    hints = typing.get_type_hints(owner, include_extras=True)
    parameters = {name: field(name, hint, owner) for name, hint in hints.items()}
    for name in parameters:
        if name in _ParameterNode.__dict__:
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
    body = {k: v for k, v in vars(owner).items() if k not in parameters and k not in ("__dict__", "__weakref__")}
    properties = {name: _property(parameter) for name, parameter in parameters.items()}
    return type(owner.__name__, (_ParameterNode,), body | properties | {"allParameters": parameters})


def _property(parameter: Field) -> property:
    def read(self: Any) -> Any:
        return parameter.read(self.parameterNode)

    def write(self: Any, value: Any) -> None:
        parameter.write(self.parameterNode, value)

    return property(read, write)


class _ParameterNode:
    """What every wrapped class can do."""

    allParameters: Mapping[str, Field]

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._connected: dict[int, tuple[int, dict[str, tuple[Binding, Any]]]] = {}
        self._showing = False
        for parameter in self.allParameters.values():
            if not parameter.is_in(parameterNode):
                parameter.write(parameterNode, parameter.default)

    def default(self, name: str) -> Any:
        return self.allParameters[name].default

    def dataType(self, name: str) -> Any:
        return self.allParameters[name].kind

    def getValue(self, name: str) -> Any:
        return self._parameter(name).read(self.parameterNode)

    def setValue(self, name: str, value: Any) -> None:
        self._parameter(name).write(self.parameterNode, value)

    def connectGui(self, gui: Any) -> int:
        """Bind every widget with a SlicerParameterName; `gui` is a widget or what childWidgetVariables returns."""
        return self.connectParametersToGui(_named_widgets(gui))

    def connectParametersToGui(self, mapping: Mapping[str, Any]) -> int:
        """Bind {parameter: widget}; returns a tag for disconnectGui."""
        bindings = {name: bind(widget, self._parameter(name)) for name, widget in mapping.items()}
        watched: dict[str, tuple[Binding, Any]] = {}
        for name, binding in bindings.items():
            binding.write(self.getValue(name))
            changed = self._reader(name, binding)
            if binding.signal is not None:
                binding.signal.connect(changed)
            watched[name] = (binding, changed)
        tag = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._show())
        self._connected[tag] = (tag, watched)
        return tag

    def disconnectGui(self, guiTag: int) -> None:
        tag, watched = self._connected.pop(guiTag, (None, {}))
        if tag is not None:
            self.RemoveObserver(tag)
        for binding, changed in watched.values():
            if binding.signal is not None:
                binding.signal.disconnect(changed)

    def StartModify(self) -> int:
        return int(self.parameterNode.StartModify())

    def EndModify(self, wasModified: int) -> None:
        self.parameterNode.EndModify(wasModified)

    def Modified(self) -> None:
        self.parameterNode.Modified()

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return int(self.parameterNode.AddObserver(event, callback, priority))

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def _parameter(self, name: str) -> Field:
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}; there are {list(self.allParameters)}")
        return self.allParameters[name]

    def _reader(self, name: str, binding: Binding) -> Any:
        def changed() -> None:
            if not self._showing:
                with slicer.util.NodeModify(self):
                    self.setValue(name, binding.read())

        return changed

    def _show(self) -> None:
        if self._showing:
            return
        self._showing = True
        try:
            for _, watched in self._connected.values():
                for name, (binding, _) in watched.items():
                    binding.write(self.getValue(name))
        finally:
            self._showing = False


def _named_widgets(gui: Any) -> dict[str, Any]:
    is_widget = getattr(gui, "isWidgetType", lambda: False)()
    widgets = gui.findChildren(qt.QWidget) if is_widget else vars(gui).values()
    named = {widget.property(SlicerParameterNamePropertyName): widget for widget in widgets}
    return {name: widget for name, widget in named.items() if name}
