"""Q_PROPERTYs as attributes that hide their getters."""

from typing import Any

from PySide6.QtCore import QMetaProperty, QObject

from harness.pythonqt.values import Unfit, outward, property_value

_read, _write = QObject.property, QObject.setProperty
WRITERS: dict[Any, Any] = {}  # the setters of stand-ins' properties, which PySide6 does not give back
_being_read: set[tuple[int, str]] = set()


class QtProperty:
    """Reads and writes through the meta-object, as PythonQt does."""

    def __init__(self, meta: QMetaProperty, name: str = "") -> None:
        self.name = str(meta.name())
        self.shown_as = name or self.name
        self.type_name = str(meta.typeName())
        self.writable = bool(meta.isWritable())
        self.is_enum = bool(meta.isEnumType())

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is None:
            return self
        key = (id(owner), self.name)
        if key in _being_read:  # C++ asks whether Python overrides a virtual getter: None is no override
            return None
        _being_read.add(key)
        try:
            return _plain(outward(_read(owner, self.name)))
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        finally:
            _being_read.discard(key)

    def __set__(self, owner: Any, value: Any) -> None:
        if not self.writable:
            raise AttributeError(f"property {self.shown_as!r} of {type(owner).__name__} is not writable")
        try:
            done = _write(owner, self.name, property_value(value, self.type_name, self.is_enum))
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        except Unfit as error:
            raise AttributeError(f"property {self.shown_as!r} of type {self.type_name} refuses {value!r}") from error
        if not done:
            raise AttributeError(f"property {self.shown_as!r} of type {self.type_name} refuses {value!r}")


def _plain(value: Any) -> Any:
    """Enum properties read as a plain int."""
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
