"""Messages between a client and its worker: JSON objects, each preceded by its length in four bytes."""

from __future__ import annotations

import json
import struct
from typing import IO, Any

Message = dict[str, Any]

_LENGTH = struct.Struct(">I")
_OPENING = b"-- medseg messages --\n"


def open_line(stream: IO[bytes]) -> None:
    """Mark where messages begin, on a stream that libraries may have printed to before."""
    stream.write(b"\n" + _OPENING)
    stream.flush()


def skip_to_line(stream: IO[bytes]) -> None:
    """Read up to the mark of `open_line`, or to the end where there is none."""
    while stream.readline() not in (_OPENING, b""):
        pass


def send(stream: IO[bytes], message: Message) -> None:
    """Write one message and flush.

    Raises:
        OSError: if nobody reads the other end any more.
    """
    payload = json.dumps(message).encode()
    stream.write(_LENGTH.pack(len(payload)) + payload)
    stream.flush()


def receive(stream: IO[bytes]) -> Message | None:
    """Read one message; None when the other end has gone, even in the middle of one.

    Raises:
        ValueError: if what comes is no message.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    payload = stream.read(length)
    if len(payload) < length:
        return None
    message: Message = json.loads(payload)
    return message
