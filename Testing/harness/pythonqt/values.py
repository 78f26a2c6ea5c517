"""What goes into Qt and what comes back, as PythonQt converts it."""

import enum
import types
import typing
from typing import Any

from harness.pythonqt import enums
from harness.pythonqt.enums import QtEnum


def outward(value: Any) -> Any:
    """Return a result of Qt as PythonQt hands it out: lists as tuples, enums as ints."""
    if isinstance(value, list | tuple):
        return tuple(outward(item) for item in value)
    if type(value) is dict:
        return {key: outward(item) for key, item in value.items()}
    if isinstance(value, enum.Enum):
        return enums.of(type(value))(value.value)
    return value


def inward(value: Any) -> Any:
    """Return an argument as PySide6 takes it: tuples of ours stay, enums get their type back."""
    return value.native() if isinstance(value, QtEnum) else value


def accepted(annotation: Any) -> tuple[Any, ...]:
    """Return the types that a parameter of this annotation takes."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return tuple(one for part in typing.get_args(annotation) for one in accepted(part))
    return (annotation,)


class Unfit(Exception):
    """A value that PythonQt does not convert to the wanted type."""


def coerced(value: Any, annotation: Any) -> Any:
    """Convert an argument as PythonQt does where PySide6 is stricter; raises Unfit."""
    kinds = accepted(annotation)
    if Any in kinds or (value is None and type(None) in kinds):
        return value
    if str in kinds and not isinstance(value, str | bytes):
        return str(value)
    if bool in kinds:
        return bool(value)
    for kind in (int, float):
        if kind in kinds and isinstance(value, int | float):
            return kind(value)
    return _coerced_object(value, kinds)


def _coerced_object(value: Any, kinds: tuple[Any, ...]) -> Any:
    for kind in kinds:
        native = kind.kind if isinstance(kind, type) and issubclass(kind, QtEnum) else kind
        if isinstance(native, type) and issubclass(native, enum.Enum) and isinstance(value, int):
            return native(int(value))
    if any(kind is type(one) for kind in kinds for one in (value,)) or not isinstance(value, int | float | str):
        return inward(value)
    raise Unfit(f"{value!r} for {kinds}")


def property_value(value: Any, type_name: str, is_enum: bool) -> Any:
    """Convert what is assigned to a property; raises Unfit where PythonQt refuses."""
    if type_name == "QString":
        return str(value)
    if type_name == "bool":
        return bool(value)
    if type_name in ("int", "uint", "double", "float", "qlonglong") or is_enum:
        if not isinstance(value, int | float):
            raise Unfit(f"{value!r} is no {type_name}")
        return float(value) if type_name in ("double", "float") else int(value)
    return list(value) if isinstance(value, tuple) and type_name == "QStringList" else inward(value)
