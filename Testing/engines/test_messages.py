"""Messages survive pipes: whole, in order, and with an end that is noticed."""

import io
import os
import threading

import pytest

from medseg.engines.messages import open_line, receive, send, skip_to_line

LARGE = {"type": "predict", "text": "grün " * 200_000}


def written(*messages):
    stream = io.BytesIO()
    for message in messages:
        send(stream, message)
    return stream.getvalue()


def test_messages_come_out_as_they_went_in_and_in_order():
    stream = io.BytesIO(written({"a": [1, 2.5, None]}, {}, LARGE))
    assert [receive(stream), receive(stream), receive(stream), receive(stream)] == [
        {"a": [1, 2.5, None]},
        {},
        LARGE,
        None,
    ]


def test_numbers_keep_every_digit():
    spacing = [0.1 + 0.2, 1 / 3, 1e-300, -0.0]
    assert receive(io.BytesIO(written({"spacing": spacing}))) == {"spacing": spacing}


def test_a_message_larger_than_a_pipe_holds_arrives_whole():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb") as target:
        sender = threading.Thread(target=send, args=(target, LARGE))
        sender.start()
        assert receive(source) == LARGE
        sender.join()


@pytest.mark.parametrize("kept", [0, 1, 3, 4, 5, 20])
def test_a_line_that_ends_in_the_middle_of_a_message_gives_none(kept):
    assert receive(io.BytesIO(written({"type": "cancel", "job": 7})[:kept])) is None


def test_a_reader_that_has_gone_is_an_operating_system_error():
    reading, writing = os.pipe()
    os.close(reading)
    target = os.fdopen(writing, "wb")
    with pytest.raises(BrokenPipeError):
        send(target, {"type": "cancel"})
    with pytest.raises(BrokenPipeError):  # what could not be sent is still in the buffer
        target.close()


@pytest.mark.parametrize(
    "printed", [b"", b"Welcome to the library\n", b"no end of line", b"\x00\x00\x00\x05half", b"\n\n"]
)
def test_what_libraries_print_before_the_line_opens_is_skipped(printed):
    stream = io.BytesIO()
    stream.write(printed)
    open_line(stream)
    send(stream, {"type": "ready"})
    stream.seek(0)
    skip_to_line(stream)
    assert receive(stream) == {"type": "ready"}


def test_a_line_that_never_opens_ends():
    stream = io.BytesIO(b"python: no such module\n")
    skip_to_line(stream)
    assert receive(stream) is None
