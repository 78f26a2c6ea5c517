"""How many arguments of a signal a receiver gets."""

import inspect
import types
from collections.abc import Callable
from typing import Any


def declared(receiver: Callable[..., Any]) -> int | None:
    """Return how many arguments a function or bound method declares, defaults included; None for all.

    `functools.partial`, callable objects, built-in functions, Qt's own slots and functions with *args get all.
    """
    if isinstance(receiver, types.FunctionType):
        return _count(receiver, 0)
    if isinstance(receiver, types.MethodType) and isinstance(receiver.__func__, types.FunctionType):
        return _count(receiver.__func__, 1)
    return None


def _count(function: types.FunctionType, bound: int) -> int | None:
    takes_all = function.__code__.co_flags & inspect.CO_VARARGS
    return None if takes_all else max(0, function.__code__.co_argcount - bound)
