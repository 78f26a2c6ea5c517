"""A parameter and the widget that shows it."""

import enum
import pathlib
from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer

from harness.not_simulated import NotSimulated

from .annotations import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange
from .fields import Field
from .ranges import FloatRange, RangeBounds


class Binding:
    """How one widget is read, written and watched."""

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], Any], signal: Any) -> None:
        self.read, self.write, self.signal = read, write, signal


def bind(widget: Any, parameter: Field) -> Binding:
    """Return the binding of a widget for a parameter; raises where Slicer has none for this pair."""
    kind = type(widget)
    for kinds, types, make in _bindings():
        if kind in kinds and types(parameter):
            return make(widget, parameter)
    if kind.__name__ in ("qMRMLCheckableNodeComboBox", "qMRMLSubjectHierarchyTreeView"):
        raise NotSimulated(f"binding of {kind.__name__}")
    raise RuntimeError(f"Unable to connect {kind.__name__} to parameter {parameter.name} of type {parameter.kind}")


def _bindings() -> list[tuple[tuple[Any, ...], Callable[[Field], bool], Callable[[Any, Field], Binding]]]:
    floats = (qt.QDoubleSpinBox, ctk.ctkSliderWidget, ctk.ctkDoubleSlider, ctk.ctkDoubleSpinBox,
              slicer.qMRMLSliderWidget, slicer.qMRMLSpinBox)  # fmt: skip
    return [
        ((qt.QCheckBox, ctk.ctkCheckBox, qt.QPushButton, ctk.ctkCheckablePushButton), _is(bool), _checked),
        ((qt.QSlider, qt.QSpinBox), _is(int), _number),
        (floats, _is(int, float), _number),
        ((qt.QComboBox, ctk.ctkComboBox), _is(int, float, str, bool), _choice),
        ((qt.QComboBox, ctk.ctkComboBox), _is_enum, _enum),
        ((qt.QLineEdit,), _is(str), lambda w, _: Binding(lambda: w.text, w.setText, w.textChanged)),
        ((qt.QLabel,), _is(str), lambda w, _: Binding(lambda: w.text, w.setText, None)),
        ((qt.QTextEdit,), _is(str), lambda w, _: Binding(w.toPlainText, w.setPlainText, w.textChanged)),
        ((ctk.ctkRangeWidget, ctk.ctkDoubleRangeSlider, slicer.qMRMLRangeWidget), _is(FloatRange), _range),
        ((ctk.ctkPathLineEdit,), _is(str, pathlib.Path, pathlib.PurePath), _path),
        ((ctk.ctkDirectoryButton,), _is(str, pathlib.Path, pathlib.PurePath), _directory),
        ((slicer.qMRMLNodeComboBox,), lambda p: bool(p.node_classes), _node),
    ]


def _is(*kinds: Any) -> Callable[[Field], bool]:
    return lambda parameter: parameter.kind in kinds


def _is_enum(parameter: Field) -> bool:
    return isinstance(parameter.kind, type) and issubclass(parameter.kind, enum.Enum)


def _assign(widget: Any, name: str) -> Callable[[Any], None]:
    return lambda value: setattr(widget, name, value)


def _checked(widget: Any, _: Field) -> Binding:
    widget.checkable = True
    return Binding(lambda: widget.checked, widget.setChecked, widget.toggled)


def _number(widget: Any, parameter: Field) -> Binding:
    """Give the widget the bounds; sliders must have some."""
    low = parameter.note(WithinRange) or parameter.note(Minimum)
    high = parameter.note(WithinRange) or parameter.note(Maximum)
    sliders = (qt.QSlider, ctk.ctkSliderWidget, slicer.qMRMLSliderWidget)
    if type(widget) in sliders and not (low and high):
        raise RuntimeError(f"Cannot have a connection to {type(widget).__name__} where the type is unbounded.")
    whole = type(widget) in (qt.QSlider, qt.QSpinBox)
    if type(widget) is not ctk.ctkDoubleSlider and not whole:
        _set_decimals(widget, parameter)
    if step := parameter.note(SingleStep):
        widget.singleStep = step.value
    widget.minimum = low.minimum if low else -(2**31) if whole else float("-inf")
    widget.maximum = high.maximum if high else 2**31 - 1 if whole else float("inf")
    return Binding(lambda: parameter.kind(widget.value), _assign(widget, "value"), widget.valueChanged)


def _set_decimals(widget: Any, parameter: Field) -> None:
    decimals = parameter.note(Decimals)
    if parameter.kind is int:
        widget.decimals = 0
    elif decimals:
        widget.decimals = decimals.value


def _choice(widget: Any, parameter: Field) -> Binding:
    choices = parameter.note(Choice)
    if choices is None:
        raise RuntimeError("A combo box needs the Choice annotation")
    return _listed(widget, list(choices.choices), [str(choice) for choice in choices.choices])


def _enum(widget: Any, parameter: Field) -> Binding:
    members = list(parameter.kind)
    labels = [member.label() if hasattr(member, "label") else member.name for member in members]
    return _listed(widget, members, labels)


def _listed(widget: Any, values: list[Any], labels: list[str]) -> Binding:
    widget.clear()
    widget.addItems(labels)

    def write(value: Any) -> None:
        widget.currentIndex = values.index(value)

    return Binding(lambda: values[widget.currentIndex], write, widget.currentIndexChanged)


def _range(widget: Any, parameter: Field) -> Binding:
    if bounds := parameter.note(RangeBounds):
        widget.minimum, widget.maximum = bounds.minimum, bounds.maximum
    return Binding(
        lambda: FloatRange(widget.minimumValue, widget.maximumValue),
        lambda value: widget.setValues(value.minimum, value.maximum),
        widget.valuesChanged,
    )


def _path(widget: Any, parameter: Field) -> Binding:
    write = lambda value: widget.setCurrentPath(str(value))  # noqa: E731
    return Binding(lambda: parameter.kind(widget.currentPath), write, widget.currentPathChanged)


def _directory(widget: Any, parameter: Field) -> Binding:
    write = lambda value: setattr(widget, "directory", str(value))  # noqa: E731
    return Binding(lambda: parameter.kind(widget.directory), write, widget.directoryChanged)


def _node(widget: Any, parameter: Field) -> Binding:
    widget.nodeTypes = list(parameter.node_classes)
    return Binding(widget.currentNode, widget.setCurrentNode, widget.currentNodeChanged)
