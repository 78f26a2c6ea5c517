"""Signals: `object.connect('sig(types)', f)` and `object.sig.connect(f)`, as PythonQt answers them."""

import enum
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import shiboken6
from PySide6.QtCore import QMetaObject, QObject

from harness.pythonqt import faults
from harness.pythonqt.arguments import declared
from harness.pythonqt.values import inward, outward

Receiver = Callable[..., Any]
_meta_object, _destroyed = QObject.metaObject, QObject.destroyed


@dataclass(eq=False)
class Connection:
    """One connection made from Python. It holds the receiver and not the sender, which would never die."""

    signature: str
    receiver: Receiver
    deliver: Receiver


_connections: dict[int, list[Connection]] = {}


class Signal:
    """`button.clicked`: callable, with connect, disconnect and emit; not subscriptable."""

    def __init__(self, owner: Any, name: str, native: Any) -> None:
        self._owner, self._name, self._native = owner, name, native

    def connect(self, receiver: Receiver) -> bool:
        return _connect(self._owner, signatures(self._owner, self._name)[0], self._native, receiver)

    def disconnect(self, receiver: Receiver | None = None) -> bool:
        done = [_disconnect(self._owner, one, receiver) for one in signatures(self._owner, self._name)]
        return any(done)

    def emit(self, *args: Any) -> None:
        self._native.emit(*map(inward, args))

    __call__ = emit


class SignalDescriptor:
    """In the class in place of PySide6's Signal."""

    def __init__(self, name: str, native: Any) -> None:
        self.name, self.native = name, native

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is None:
            return self
        first = signatures(owner, self.name)[0]
        return Signal(owner, self.name, _overload(self.bound(owner), first, owner, self.name))

    def bound(self, owner: Any) -> Any:
        return self.native.__get__(owner, type(owner))


class ConnectMethod:
    """`object.connect(...)`, and with the sender as first argument `qt.QObject.connect(...)`."""

    def __init__(self, function: Callable[..., bool]) -> None:
        self._function = function

    def __get__(self, owner: Any, kind: type | None = None) -> Callable[..., bool]:
        return self._function if owner is None else functools.partial(self._function, owner)


def signatures(owner: Any, name: str) -> list[str]:
    """Return the normalised signatures of every overload of a signal, the one with the most arguments first."""
    known = getattr(type(owner), "cpp_signals", {}).get(name)
    if known:
        return list(known)
    meta = _meta_object(owner)
    methods = [meta.method(n) for n in range(meta.methodCount())]
    return [str(bytes(m.methodSignature()), "ascii") for m in methods if bytes(m.name()) == name.encode()]


def connect(owner: Any, signal: str, *target: Any) -> bool:
    """Connect by signature to a callable, or to (object, 'slot()'); False and a recorded fault where none fits."""
    signature = str(bytes(QMetaObject.normalizedSignature(signal)), "ascii")
    name = signature.partition("(")[0]
    descriptor = getattr(type(owner), name, None)
    receiver = target[0] if len(target) == 1 else _slot(*target)
    if isinstance(descriptor, SignalDescriptor) and signature in signatures(owner, name) and receiver is not None:
        return _connect(owner, signature, _overload(descriptor.bound(owner), signature, owner, name), receiver)
    faults.record(faults.CONNECT, f"{type(owner).__name__} {signal} -> {target}")
    return False


def disconnect(owner: Any, signal: str, *target: Any) -> bool:
    """Take back connections made with the same signature; False where there is none."""
    signature = str(bytes(QMetaObject.normalizedSignature(signal)), "ascii")
    receiver = None if not target else target[0] if len(target) == 1 else _slot(*target)
    return _disconnect(owner, signature, receiver)


def _overload(native: Any, signature: str, owner: Any, name: str) -> Any:
    """Return the overload of a signal that has other types than the default one, else the default."""
    types = signature[len(name) + 1 : -1]
    if getattr(type(owner), "cpp_signals", {}).get(name) or not types:
        return native
    try:
        return native[types]
    except (IndexError, KeyError, TypeError):
        return native


def _connect(owner: Any, signature: str, native: Any, receiver: Receiver) -> bool:
    arguments = signature.partition("(")[2].rstrip(")")
    # commas inside <> part no arguments
    most = len([a for a in _without_templates(arguments).split(",") if a])

    def deliver(*args: Any) -> None:
        try:
            receiver(*_fitted(tuple(map(_received, args[:most])), signature, receiver))
        except Exception as error:  # noqa: BLE001 -- PythonQt prints whatever a slot raises and goes on
            faults.record_exception(error)

    native.connect(deliver)
    _of(owner).append(Connection(signature, receiver, deliver))
    return True


def _received(value: Any) -> Any:
    """Convert what Qt sends; objects that Python code sends stay the same objects."""
    return outward(value) if isinstance(value, enum.Enum | list) else value


def _fitted(args: tuple[Any, ...], signature: str, receiver: Receiver) -> tuple[Any, ...]:
    """Cut the arguments to what the receiver declares; a stand-in's bool overload gets whether there is something."""
    if signature.endswith("(bool)") and args and not isinstance(args[0], bool):
        args = (bool(args[0]),)
    return args[: declared(receiver)]


def _disconnect(owner: Any, signature: str, receiver: Receiver | None) -> bool:
    found = [c for c in _of(owner) if c.signature == signature and (receiver is None or c.receiver == receiver)]
    for connection in found:
        name = signature.partition("(")[0]
        _overload(getattr(type(owner), name).bound(owner), signature, owner, name).disconnect(connection.deliver)
        _of(owner).remove(connection)
    return bool(found)


def _of(owner: Any) -> list[Connection]:
    """Return this C++ object's connections; they are forgotten when it is destroyed."""
    address = shiboken6.getCppPointer(owner)[0]
    if address not in _connections:
        _connections[address] = []
        _destroyed.__get__(owner, type(owner)).connect(lambda: _connections.pop(address, None))
    return _connections[address]


def _slot(receiver: Any, slot: str) -> Receiver | None:
    """Return a callable for 'name(types)' of an object; it passes as many arguments as the slot has."""
    signature = str(bytes(QMetaObject.normalizedSignature(slot)), "ascii")
    name, _, types = signature.partition("(")
    method = getattr(receiver, name, None)
    if not callable(method):
        return None
    most = len([a for a in _without_templates(types.rstrip(")")).split(",") if a])
    return _Slot(receiver, name, most)


@dataclass(frozen=True)
class _Slot:
    """A slot of an object, equal to another of the same object, so that disconnect finds it."""

    receiver: Any
    name: str
    most: int

    def __call__(self, *args: Any) -> None:
        getattr(self.receiver, self.name)(*args[: self.most])


def _without_templates(types: str) -> str:
    depth, kept = 0, ""
    for letter in types:
        depth += (letter == "<") - (letter == ">")
        kept += letter if depth == 0 else ""
    return kept
