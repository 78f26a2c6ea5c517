"""Calls of Qt's methods: no keyword arguments, PythonQt's conversions, ValueError where nothing fits."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from shibokensupport.signature import get_signature

from harness.pythonqt.values import Unfit, accepted, coerced, inward, outward

Parameters = tuple[inspect.Parameter, ...]
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@functools.cache
def overloads(function: Any, leave_out: int) -> tuple[Parameters, ...]:
    """Return the positional parameters of every overload that PySide6 knows, without `self`."""
    found = get_signature(function) or []
    signatures = found if isinstance(found, list) else [found]
    return tuple(
        tuple(p for p in signature.parameters.values() if p.kind in _POSITIONAL and p.name != "self")[leave_out:]
        for signature in signatures
    )


def call(function: Callable[..., Any], described: Any, first: tuple[Any, ...], args: tuple[Any, ...]) -> Any:
    """Call a function of PySide6 as PythonQt would; `described` is what its signature is looked up by."""
    try:
        return outward(function(*first, *_with_none_as_text(described, [inward(arg) for arg in args])))
    except RuntimeError as error:
        raise ValueError(str(error)) from error  # the C++ object was deleted
    except (TypeError, ValueError, OverflowError) as error:
        return _retry(function, described, first, args, error)


def _retry(
    function: Callable[..., Any], described: Any, first: tuple[Any, ...], args: tuple[Any, ...], error: Exception
) -> Any:
    for parameters in overloads(described, 0):
        if len(args) <= len(parameters) and (fitting := _fitted(args, parameters)) is not None:
            try:
                return outward(function(*first, *fitting))
            except (TypeError, ValueError):
                continue
    raise ValueError(f"Called {getattr(described, '__name__', described)} with wrong arguments: {args}") from error


def _fitted(args: tuple[Any, ...], parameters: Parameters) -> list[Any] | None:
    try:
        return [coerced(arg, parameter.annotation) for arg, parameter in zip(args, parameters, strict=False)]
    except (Unfit, ValueError):
        return None


def _with_none_as_text(described: Any, args: list[Any]) -> list[Any]:
    """PySide6 takes None for an empty text; PythonQt writes "None"."""
    if not any(arg is None for arg in args):
        return args
    return ["None" if arg is None and _only_text(described, place) else arg for place, arg in enumerate(args)]


def _only_text(described: Any, place: int) -> bool:
    kinds = [accepted(p[place].annotation) for p in overloads(described, 0) if len(p) > place]
    return bool(kinds) and all(kind == (str,) for kind in kinds)


class BoundMethod:
    """A method of a Qt object; two of the same object and name are equal."""

    __slots__ = ("_descriptor", "_owner")

    def __init__(self, descriptor: Any, owner: Any) -> None:
        self._descriptor = descriptor
        self._owner = owner

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if keywords:
            raise ValueError(f"{self.__name__}() takes no keyword arguments")
        return call(self._descriptor, self._descriptor, (self._owner,), args)

    @property
    def __name__(self) -> str:
        return str(self._descriptor.__name__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BoundMethod) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, int]:
        return self._descriptor, id(self._owner)


class Method:
    """In the class in place of PySide6's own descriptor."""

    def __init__(self, descriptor: Any) -> None:
        self.descriptor = descriptor

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else BoundMethod(self.descriptor, owner)

    def __call__(self, owner: Any, *args: Any, **keywords: Any) -> Any:
        return BoundMethod(self.descriptor, owner)(*args, **keywords)


class StaticMethod:
    """A static function of a class, `qt.QTimer.singleShot`; asked of an object it may be another, as `QFile.exists`."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self.__name__ = function.__name__

    def __get__(self, owner: Any, kind: type | None = None) -> "StaticMethod":
        return self

    def of_object(self, owner: Any, found: Any) -> Any:
        """Return what PySide6 found on the object, if that is a method of it, else the static function."""
        return StaticMethod(found) if getattr(found, "__self__", None) is owner else self

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if keywords:
            raise ValueError(f"{self.__name__}() takes no keyword arguments")
        return call(self._function, self._function, (), args)
