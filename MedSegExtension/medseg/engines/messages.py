"""Messages between a client and its worker: JSON objects, each preceded by its length in four bytes."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

Message = dict[str, Any]

_LENGTH = struct.Struct(">I")


def send(stream: BinaryIO, message: Message) -> None:
    """Write one message and flush.

    Raises:
        OSError: if nobody reads the other end any more.
    """
    payload = json.dumps(message).encode()
    stream.write(_LENGTH.pack(len(payload)) + payload)
    stream.flush()


def receive(stream: BinaryIO) -> Message | None:
    """Read one message; None when the other end has gone, even in the middle of one."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    payload = stream.read(length)
    if len(payload) < length:
        return None
    message: Message = json.loads(payload)
    return message
