"""Unpacking the zip of a MONAI bundle without letting it write anywhere else."""

from __future__ import annotations

import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from medseg import fingerprints
from medseg.errors import BadInput

LARGEST_BYTES = 32 << 30
LARGEST_RATIO = 100  # weights hardly shrink; only a bomb shrinks a hundredfold
_SMALL_BYTES = 64 << 20  # below this a high ratio does no harm: configurations are text
_MOST_MEMBERS = 100_000


def unpack(archive: Path, cache: Path) -> Path:
    """Unpack a bundle's zip below `cache` and return the bundle's folder.

    The folder is named after the content, so the same zip is unpacked once. It appears whole or not at all.

    Raises:
        BadInput: if the zip is damaged or encrypted, a member would land elsewhere (`../`, absolute, drive letter,
            link), it is a bomb, or it holds no bundle; nothing is written then.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            _check(opened, archive)
            top = _top_folder(opened, archive)
            target = cache / f"{archive.stem}-{fingerprints.of_file(archive)[:16]}"
            if not target.is_dir():
                _extract(opened, target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as fault:
        raise BadInput(f"{archive} is not a whole zip ({fault}); download it again") from fault
    except OSError as fault:
        if not archive.is_file():
            raise BadInput(f"bundle {archive} cannot be read: {fault.strerror}") from fault
        raise
    return target / top


def _check(opened: zipfile.ZipFile, archive: Path) -> None:
    members = opened.infolist()
    for member in members:
        if why := _why_unsafe(member):
            raise BadInput(f"{archive} is refused: member {member.filename!r} {why}; get the bundle from its authors")
    size = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members) or 1
    bomb = size > _SMALL_BYTES and size > LARGEST_RATIO * packed
    if size > LARGEST_BYTES or bomb or len(members) > _MOST_MEMBERS:
        raise BadInput(f"{archive} is refused: it would grow to {size / 1e9:.1f} GB in {len(members)} files")


def _why_unsafe(member: zipfile.ZipInfo) -> str:
    # `orig_filename` is the name as stored: Python cuts `filename` at a NUL and turns the system's separators
    stored = member.orig_filename.replace("\\", "/")
    if stored.startswith("/") or re.match(r"[A-Za-z]:", stored):
        return "has an absolute path"
    if ".." in PurePosixPath(stored).parts or "\0" in stored:
        return "points out of its folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    return "is encrypted" if member.flag_bits & 0x1 else ""


def _extract(opened: zipfile.ZipFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        opened.extractall(unfinished)
        unfinished.replace(target)
    except OSError:
        if not target.is_dir():  # else another process was faster, with the same content
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _top_folder(opened: zipfile.ZipFile, archive: Path) -> PurePosixPath:
    """Return where in the zip the bundle lies: at its root, or in its one folder, as the model zoo packs some."""
    members = [PurePosixPath(member.filename) for member in opened.infolist()]
    found = [path.parents[1] for path in members if path.match("configs/metadata.json") and len(path.parts) <= 3]
    if len(found) != 1:
        raise BadInput(f"{archive} is not a MONAI bundle: it has {len(found)} configs/metadata.json, wanted is one")
    return found[0]
