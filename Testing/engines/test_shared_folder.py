"""Arrays in a folder that cannot be left behind."""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from medseg.engines import shared_folder
from medseg.engines.shared_folder import SharedFolder, sweep
from medseg.errors import Failed

posix = pytest.mark.skipif(os.name != "posix", reason="file locks and limits of POSIX")
ARRAYS = {
    "volume": np.arange(60, dtype=np.float32).reshape(3, 4, 5),
    "transposed": np.arange(60, dtype=np.int16).reshape(3, 4, 5).T,
    "strided": np.arange(60, dtype=np.uint8).reshape(3, 4, 5)[:, ::2, ::-1],
    "big-endian": np.arange(6, dtype=">f4").reshape(2, 3),
    "truth": np.array([[True, False]]),
    "single": np.array([[[7]]], np.int64),
    "empty": np.zeros((0, 4, 5), np.float32),
}

KEEP = """
import sys, time
from pathlib import Path
from medseg.engines.shared_folder import SharedFolder
lock = SharedFolder(Path(sys.argv[1])).make()
print("made", flush=True)
time.sleep(600)
"""
MAKE_AND_SWEEP = """
import sys
from medseg.engines.shared_folder import SharedFolder, sweep
for _ in range(int(sys.argv[1])):
    folder = SharedFolder.name_new()
    lock = folder.make()
    sweep()
    if not (folder.path / "in-use").is_file():
        sys.exit(f"{folder.path} was swept away while in use")
    folder.remove()
    lock.close()
"""


@pytest.fixture
def folder():
    made = SharedFolder.name_new()
    lock = made.make()
    yield made
    made.remove()
    lock.close()


@pytest.fixture
def held():
    """A folder that another process keeps, and that process."""
    made = SharedFolder.name_new()
    process = subprocess.Popen([sys.executable, "-c", KEEP, str(made.path)], stdout=subprocess.PIPE)
    process.stdout.readline()
    yield made, process
    process.kill()
    process.wait()
    process.stdout.close()
    made.remove()


def arrays_in(folder):
    return sorted(path.name for path in folder.path.iterdir() if path.name != "in-use")


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_an_array_is_taken_as_it_was_put(folder, array):
    taken = folder.take(folder.put(array))
    assert taken.dtype == array.dtype
    assert taken.shape == array.shape
    assert np.array_equal(taken, array)


def test_an_array_that_was_taken_cannot_be_written_to(folder):
    taken = folder.take(folder.put(ARRAYS["volume"]))
    with pytest.raises(ValueError, match="read-only"):
        taken[0] = 1


def test_two_arrays_do_not_get_in_each_others_way(folder):
    first, second = folder.put(np.zeros(3)), folder.put(np.ones(3))
    folder.drop(first)
    folder.drop(first)
    assert folder.take(second).tolist() == [1, 1, 1]
    assert arrays_in(folder) == [second["file"]]


def test_a_reference_cannot_reach_outside_the_folder(folder, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"12345678")
    reference = {"file": str(secret), "shape": [8], "dtype": "|u1"}
    with pytest.raises(Failed, match="gone"):
        folder.take(reference)
    folder.drop(reference)
    assert secret.exists()


def test_clearing_leaves_nothing_but_the_lock(folder):
    folder.put(ARRAYS["volume"])
    folder.put(ARRAYS["empty"])
    folder.clear()
    assert [path.name for path in folder.path.iterdir()] == ["in-use"]


def test_clearing_a_folder_that_is_gone_is_no_fault(folder):
    folder.remove()
    folder.clear()
    assert not folder.path.exists()


@posix
def test_only_its_user_can_look_into_the_folder(folder):
    assert folder.path.stat().st_mode & 0o077 == 0


@posix
def test_no_room_is_told_and_leaves_no_piece(folder):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(Failed, match=r"4\.2 MB could not be passed on through .*: File too large"):
            folder.put(np.zeros(1 << 22, np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert arrays_in(folder) == []


def test_a_folder_that_is_gone_is_told(folder):
    reference = folder.put(ARRAYS["volume"])
    folder.remove()
    with pytest.raises(Failed, match="No such file"):
        folder.put(ARRAYS["volume"])
    with pytest.raises(Failed, match="No such file"):
        folder.take(reference)


@posix
def test_an_array_stays_readable_when_the_folder_goes(folder):
    taken = folder.take(folder.put(ARRAYS["volume"]))
    folder.remove()
    assert np.array_equal(taken, ARRAYS["volume"])


def test_a_folder_goes_even_while_another_thread_puts_arrays():
    for _ in range(20):
        folder = SharedFolder.name_new()
        lock = folder.make()
        stop = threading.Event()
        thread = threading.Thread(target=put_until, args=(folder, stop))
        thread.start()
        time.sleep(0.002)
        stop_later = threading.Timer(0.02, stop.set)  # as a process that is about to end itself
        stop_later.start()
        folder.remove()
        assert not folder.path.exists()
        thread.join()
        stop_later.join()
        lock.close()


def put_until(folder, stop):
    while not stop.is_set():
        try:
            folder.put(ARRAYS["volume"])
        except Failed:
            return


def test_sweeping_leaves_a_folder_in_use(held):
    folder, _ = held
    sweep()
    assert (folder.path / "in-use").is_file()


def test_sweeping_removes_the_folder_of_a_process_that_was_killed(held):
    folder, process = held
    folder.put(ARRAYS["volume"])
    process.kill()
    process.wait()
    sweep()
    assert not folder.path.exists()


@posix
def test_sweeping_waits_before_it_takes_a_folder_without_lock_for_abandoned():
    folder = SharedFolder.name_new()
    folder.path.mkdir()
    sweep()
    assert folder.path.exists()
    long_ago = time.time() - 3600
    os.utime(folder.path, (long_ago, long_ago))
    sweep()
    assert not folder.path.exists()


def test_sweeping_keeps_its_hands_off_folders_with_names_of_their_own():
    base = SharedFolder.name_new().path.parent
    folder = Path(tempfile.mkdtemp(prefix="medseg-results-", dir=base))
    try:
        long_ago = time.time() - 3600
        os.utime(folder, (long_ago, long_ago))
        sweep()
        assert folder.exists()
    finally:
        folder.rmdir()


def test_processes_that_start_together_do_not_sweep_each_other_away():
    processes = [
        subprocess.Popen([sys.executable, "-c", MAKE_AND_SWEEP, "150"], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate()[1] for process in processes] == ["", "", ""]


def test_names_are_random_and_recognised_by_the_sweep():
    names = [SharedFolder.name_new().path.name for _ in range(2)]
    assert names[0] != names[1]
    assert all(re.fullmatch(r"medseg-[0-9a-f]{32}", name) for name in names)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no memory file system")
def test_memory_is_used_where_there_is_room_and_the_temporary_folder_elsewhere(monkeypatch):
    free = shared_folder.shutil.disk_usage("/dev/shm").free
    monkeypatch.setattr(shared_folder, "_ROOM", free // 2)
    assert SharedFolder.name_new().path.parent == Path("/dev/shm")
    monkeypatch.setattr(shared_folder, "_ROOM", free * 2)
    assert SharedFolder.name_new().path.parent == Path(tempfile.gettempdir())
