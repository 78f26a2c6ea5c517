"""Files that appear whole or not at all, even if the process that writes them is killed."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from medseg.atomic import replacing

posix = pytest.mark.skipif(os.name != "posix", reason="on Windows a killed process may leave its draft")

WRITE_AND_WAIT = """
import sys, time
from pathlib import Path
from medseg.atomic import replacing
with replacing(*map(Path, sys.argv[1:])) as drafts:
    for draft in drafts:
        draft.write_bytes(b"half")
    print("written", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of writing files of awkward names, one of which was there before."""
    targets = [tmp_path / "-r a b.nii.gz", tmp_path / "$(touch x);'\".tsv"]
    targets[0].write_bytes(b"before")
    command = [sys.executable, "-c", WRITE_AND_WAIT, *map(str, targets)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, start_new_session=True)
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def soon(condition):
    until = time.monotonic() + 2
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return condition()


@posix
@pytest.mark.parametrize("end", ["the process", "its group"])
def test_a_killed_process_leaves_no_draft_and_the_earlier_file(writer, tmp_path, end):
    assert len(names_in(tmp_path)) == 3
    if end == "the process":
        writer.kill()
    else:
        os.killpg(writer.pid, signal.SIGKILL)
    assert soon(lambda: names_in(tmp_path) == ["-r a b.nii.gz"])
    assert (tmp_path / "-r a b.nii.gz").read_bytes() == b"before"


def test_writing_leaves_no_process_thread_or_handle(tmp_path):
    process = psutil.Process()
    handles = process.num_fds if os.name == "posix" else process.num_handles
    before = (handles(), threading.active_count(), len(process.children()))
    for number in range(5):
        with replacing(tmp_path / "result") as (draft,):
            draft.write_text(str(number))
    assert (handles(), threading.active_count(), len(process.children())) == before
    assert names_in(tmp_path) == ["result"]
    assert (tmp_path / "result").read_text() == "4"


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_a_fault_while_writing_leaves_no_draft_and_the_earlier_file(tmp_path, fault):
    (tmp_path / "result").write_text("before")
    with pytest.raises(fault):
        write_half(tmp_path / "result", fault)
    assert names_in(tmp_path) == ["result"]
    assert (tmp_path / "result").read_text() == "before"


def write_half(target, fault):
    with replacing(target) as (draft,):
        draft.write_text("half")
        raise fault
