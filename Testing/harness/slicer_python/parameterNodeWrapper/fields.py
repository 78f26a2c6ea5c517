"""One typed parameter: how it is written into a vtkMRMLScriptedModuleNode, read back and checked."""

import enum
import json
import pathlib
import types
import typing
from dataclasses import dataclass
from typing import Any

import slicer

from harness.not_simulated import NotSimulated

from .annotations import Choice, Default, Maximum, Minimum, WithinRange
from .ranges import FloatRange

_PLAIN = {bool: False, int: 0, float: 0.0, str: "", pathlib.Path: pathlib.Path(), pathlib.PurePath: pathlib.PurePath()}


@dataclass(frozen=True)
class Field:
    """Name, type without annotations, annotations and default."""

    name: str
    kind: Any
    notes: tuple[Any, ...]
    default: Any

    @property
    def node_classes(self) -> tuple[str, ...]:
        """The MRML classes of a node parameter, else ()."""
        kinds = [kind for kind in _alternatives(self.kind) if kind is not type(None)]
        is_node = [isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode) for kind in kinds]
        return tuple(kind.__name__ for kind in kinds) if is_node and all(is_node) else ()

    def note(self, kind: type) -> Any:
        return next((note for note in self.notes if isinstance(note, kind)), None)

    def write(self, node: Any, value: Any) -> None:
        """Check and store; raises TypeError or ValueError and leaves the node as it was."""
        self._check(value)
        if self.node_classes:
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
            node.SetParameter(self.name, "")
        else:
            node.SetParameter(self.name, _text(value))

    def read(self, node: Any) -> Any:
        if self.node_classes:
            return node.GetNodeReference(self.name)
        return _value(self.kind, node.GetParameter(self.name))

    def is_in(self, node: Any) -> bool:
        return bool(node.HasParameter(self.name) if hasattr(node, "HasParameter") else self._listed(node))

    def _listed(self, node: Any) -> bool:
        return self.name in node.GetParameterNames()

    def _check(self, value: Any) -> None:
        if self.node_classes:
            if value is not None and not any(value.IsA(kind) for kind in self.node_classes):
                raise TypeError(f"{self.name} takes {self.node_classes}, not {value.GetClassName()}")
            return
        if not _fits(self.kind, value):
            raise TypeError(f"{self.name} takes {self.kind}, not {value!r}")
        for note in self.notes:
            if hasattr(note, "validate"):
                note.validate(value)


def field(name: str, annotation: Any, owner: type) -> Field:
    """Make a field of an annotated class attribute; raises NotSimulated for types the harness does not store."""
    annotated = typing.get_origin(annotation) is typing.Annotated
    kind, *notes = typing.get_args(annotation) if annotated else (annotation,)
    made = Field(name, kind, tuple(notes), None)
    return Field(name, kind, made.notes, _default(made, owner))


def _default(made: Field, owner: type) -> Any:
    if made.name in vars(owner):
        return vars(owner)[made.name]
    if given := made.note(Default):
        return given.value
    if made.node_classes:
        return None
    return _allowed(made, _empty(made.kind))


def _empty(kind: Any) -> Any:
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is FloatRange:
        return FloatRange(0.0, 0.0)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(iter(kind))
    if typing.get_origin(kind) is list:
        return []
    raise NotSimulated(f"parameters of type {kind} exist in Slicer but are not simulated by the harness")


def _allowed(made: Field, value: Any) -> Any:
    """Move a default default into what the annotations allow."""
    for note in made.notes:
        if isinstance(note, Choice):
            return note.choices[0]
        if isinstance(note, WithinRange | Minimum):
            value = max(value, note.minimum)
        if isinstance(note, WithinRange | Maximum):
            value = min(value, note.maximum)
    return value


def _alternatives(kind: Any) -> tuple[Any, ...]:
    is_union = isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union
    return typing.get_args(kind) if is_union else (kind,)


def _fits(kind: Any, value: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if typing.get_origin(kind) is list:
        return isinstance(value, list | tuple) and all(_fits(typing.get_args(kind)[0], item) for item in value)
    if isinstance(kind, type) and issubclass(kind, pathlib.PurePath):
        return isinstance(value, pathlib.PurePath)
    return isinstance(value, kind)


def _text(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, FloatRange):
        return json.dumps([value.minimum, value.maximum])
    return json.dumps(list(value)) if isinstance(value, list | tuple) else str(value)


def _value(kind: Any, text: str) -> Any:
    if kind is bool:
        return slicer.util.toBool(text)
    if kind is FloatRange:
        return FloatRange(*json.loads(text))
    if typing.get_origin(kind) is list:
        return json.loads(text)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind[text]
    return kind(text)
