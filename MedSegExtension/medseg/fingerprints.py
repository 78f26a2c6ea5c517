"""SHA-256 of files and of whole folders, so that a model that changed is noticed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from medseg.errors import BadInput

_COMPILED = "__pycache__"


def of_file(path: Path) -> str:
    """Return the SHA-256 of a file in lower-case hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_files(folder: Path, files: Iterable[Path]) -> str:
    """Return the SHA-256 over the names, relative to `folder`, and the contents of files, in the order given."""
    whole = hashlib.sha256()
    for path in files:
        name = path.relative_to(folder).as_posix()
        whole.update(f"{len(name)} {name} {of_file(path)}\n".encode())
    return whole.hexdigest()


def files_in(folder: Path, left_out: Iterable[str] = ()) -> Iterator[Path]:
    """Yield all files of a folder in a fixed order, but for compiled scripts and the sub-folders `left_out`.

    Raises:
        BadInput: if it holds a link to a folder, whose files could change unnoticed.
    """
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(set(folders) - {_COMPILED, *(left_out if here == folder else ())})
        for name in folders:
            if (here / name).is_symlink():
                raise BadInput(f"{folder} holds a link to a folder, {here / name}; replace it by a copy")
        yield from (here / name for name in sorted(names))
