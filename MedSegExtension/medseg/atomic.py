"""Files that appear whole or not at all."""

import errno
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medseg.errors import BadInput, Failed

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PROBE_BYTES = 1 << 20
_REMOVE_UNLESS_TOLD = 'read -r told || rm -f -- "$@"'


@contextmanager
def replacing(*targets: Path) -> Iterator[tuple[Path, ...]]:
    """Give a temporary path for each target; when the block ends well, they take the targets' places.

    The temporaries lie in the targets' folders, so that the move is one step of the file system, and keep the
    targets' suffixes, by which writers know the format. They reach the disk before any target is touched. Even if this
    process is killed, none is left behind (except on Windows).

    Raises:
        Failed: if the disk is full or broken; every target is as it was and no temporary is left.
    """
    finals = [target.resolve() for target in targets]
    drafts = tuple(_draft(final) for final in finals)
    with _removed_on_death(drafts):
        try:
            yield drafts
            for draft in drafts:
                _to_disk(draft)
            for draft, final in zip(drafts, finals, strict=True):
                draft.replace(final)
        except OSError as fault:
            raise not_written(targets[-1], fault.strerror or str(fault)) from fault
        finally:
            for draft in drafts:
                draft.unlink(missing_ok=True)


def not_written(target: Path, reason: str) -> Failed:
    """Return the error to raise when a target could not be written."""
    return Failed(f"{target} could not be written: {reason}; what was there before is unchanged")


def why_short(draft: Path) -> str | None:
    """Ask the operating system why a file ended early, by making it longer; None if it may grow.

    Image libraries tell that they wrote too little, or not even that, but never why.
    """
    try:
        with draft.open("ab") as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        return fault.strerror
    return None


def check_place(path: Path) -> None:
    """Find out before long work whether a file can be written, by writing a nameless one in its folder.

    Raises:
        BadInput: if the folder is missing or read-only, or `path` is a folder or a protected file.
        Failed: if the disk is full.
    """
    folder = path.resolve().parent
    if path.is_dir():
        raise BadInput(f"{path} is a folder; name a file in it")
    if not folder.is_dir():
        raise BadInput(f"{path} cannot be written: the folder {folder} does not exist; create it or choose another")
    if path.exists() and not os.access(path, os.W_OK):
        raise BadInput(f"{path} is write-protected; choose another name or allow writing")
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
            file.flush()
    except OSError as fault:
        if fault.errno in _NO_ROOM:
            raise not_written(path, str(fault.strerror)) from fault
        raise BadInput(f"{path} cannot be written: {fault.strerror}; choose a folder you may write to") from fault


def _draft(final: Path) -> Path:
    return final.with_name(f".medseg-{secrets.token_hex(6)}{''.join(final.suffixes[-2:])}")


@contextmanager
def _removed_on_death(drafts: tuple[Path, ...]) -> Iterator[None]:
    """Have a shell wait at the end of a pipe and remove the drafts if this process is killed in the block.

    No process can do so for itself, and the writers of image libraries want a name with a suffix, so that a nameless
    file (O_TMPFILE) is no way out. It costs about a millisecond.
    """
    shell = _shell(drafts) if os.name == "posix" else None
    try:
        yield
    finally:
        if shell:
            shell.communicate(b"told\n")


def _shell(drafts: tuple[Path, ...]) -> subprocess.Popen[bytes] | None:
    with suppress(OSError):  # no shell, or no room for one more process: the draft may then outlive a kill
        return subprocess.Popen(
            ["/bin/sh", "-c", _REMOVE_UNLESS_TOLD, "medseg", *map(str, drafts)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # what ends a whole group or terminal leaves it
        )
    return None


def _to_disk(draft: Path) -> None:
    # some file systems reserve space only now, so that this is where a full disk shows
    handle = os.open(draft, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
