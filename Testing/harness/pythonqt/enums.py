"""Enums as PythonQt has them: ints without a name, which still know where they belong."""

import enum
from typing import Any


class QtEnum(int):
    """An int of one enum. Each enum is a subclass, so that PySide6 accepts it as a type where it wants one."""

    kind: type[enum.IntEnum]

    def native(self) -> Any:
        """Return the PySide6 value; a plain int where this combination is none of the enum's."""
        try:
            return self.kind(int(self))
        except ValueError:
            return int(self)

    def __or__(self, other: int) -> "QtEnum":
        return type(self)(int(self) | int(other))

    def __and__(self, other: int) -> "QtEnum":
        return type(self)(int(self) & int(other))

    def __xor__(self, other: int) -> "QtEnum":
        return type(self)(int(self) ^ int(other))

    __ror__, __rand__, __rxor__ = __or__, __and__, __xor__


_ours: dict[Any, type[QtEnum]] = {}


def of(kind: Any) -> type[QtEnum]:
    """Return our int type of a PySide6 enum, with the members as attributes."""
    if kind not in _ours:
        place = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
        ours = type(kind.__name__, (QtEnum,), {"kind": kind, **place})
        for name, member in kind.__members__.items():
            setattr(ours, name, ours(member.value))
        _ours[kind] = ours
    return _ours[kind]


def is_enum(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, enum.Enum)


def lay_out(owner: type) -> None:
    """Replace the enums nested in a class, and put their members into it as Qt 5 has them."""
    for name, kind in [(name, kind) for name, kind in vars(owner).items() if is_enum(kind)]:
        replaced = of(kind)
        setattr(owner, name, replaced)
        for member in kind.__members__:
            if member not in vars(owner):
                setattr(owner, member, getattr(replaced, member))
