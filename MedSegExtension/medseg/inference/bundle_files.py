"""A MONAI bundle on disk: unpacking its zip safely, finding its files, and fingerprinting all that can run.

The layout is the one of the MONAI model zoo: `configs/metadata.json`, `configs/inference.json` (or `.yaml`, `.yml`),
`models/model.pt` (or `.ts`, `.safetensors`), and often `scripts/` with Python files.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg import fingerprints
from medseg.errors import BadInput

CONFIG_NAMES = ("inference.json", "inference.yaml", "inference.yml")
WEIGHTS_SUFFIXES = (".pt", ".pth", ".safetensors", ".ts")

# nothing imports or loads from these: papers and pictures, results that MONAI writes, history
_NOT_RUN = ("docs", "eval", ".git")


@dataclass(frozen=True)
class Bundle:
    """A bundle's folder and what its metadata says."""

    folder: Path
    metadata: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What its authors call it; the folder's name where they say nothing."""
        return str(self.metadata.get("name") or self.folder.name)

    @property
    def config(self) -> Path:
        """The inference configuration.

        Raises:
            BadInput: if there is none.
        """
        for name in CONFIG_NAMES:
            if (path := self.folder / "configs" / name).is_file():
                return path
        raise BadInput(f"bundle {self.folder} has none of {', '.join(CONFIG_NAMES)} in configs; it cannot segment")

    @functools.cached_property
    def fingerprint(self) -> str:
        """See `fingerprint`; taken once, when first asked for."""
        return fingerprint(self.folder)

    @property
    def weights(self) -> Path:
        """The weights: the file that the configuration loads, else `models/model.*`, else the only one.

        Raises:
            BadInput: if there is none, or it is not plain which.
        """
        folder = self.folder / "models"
        found = sorted(path for path in folder.glob("*") if path.suffix in WEIGHTS_SUFFIXES and path.is_file())
        by_name = {path.name: path for path in found}
        wanted = [*_loaded_by(self.config.read_text(encoding="utf-8")), *(f"model{s}" for s in WEIGHTS_SUFFIXES)]
        for name in wanted:
            if name in by_name:
                return by_name[name]
        if len(found) == 1:
            return found[0]
        raise BadInput(_no_weights(self.folder, found))


def read(folder: Path) -> Bundle:
    """Read a bundle folder.

    Raises:
        BadInput: if it is no folder, or its `configs/metadata.json` is missing or not a JSON object.
    """
    path = folder / "configs" / "metadata.json"
    if not path.is_file():
        raise BadInput(f"{folder} is not a MONAI bundle: it lacks configs/metadata.json; give the bundle's own folder")
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as fault:
        raise BadInput(f"bundle metadata {path} is not JSON: {fault}; download the bundle again") from fault
    if not isinstance(metadata, dict):
        raise BadInput(f"bundle metadata {path} is not a JSON object; download the bundle again")
    return Bundle(folder.resolve(), metadata)


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 over names and contents of all files of a bundle that can run or change its result.

    Left out are `docs`, `eval` (where MONAI writes results), `.git` and compiled scripts; all else counts, because
    the whole folder is on Python's search path while a trusted bundle runs.

    Raises:
        BadInput: if the bundle holds a link to a folder, whose files would escape the fingerprint.
    """
    return fingerprints.of_files(folder, fingerprints.files_in(folder, _NOT_RUN))


def _loaded_by(config: str) -> list[str]:
    """File names that stand after `models/` where the configuration gives a `load_path`; nothing is evaluated."""
    return re.findall(r"load_path\W[^\n]*?models/([\w.-]+?\.(?:pth|pt|ts|safetensors))", config)


def _no_weights(folder: Path, found: list[Path]) -> str:
    if found:
        names = ", ".join(path.name for path in found)
        return f"bundle {folder} has several weights ({names}) and none called model.pt; name one so"
    listed = folder / "large_files.yml"
    hint = f"download those that {listed} lists" if listed.is_file() else "download the bundle with its weights"
    return f"bundle {folder} lacks its weights models/model.pt (or .ts, .safetensors); {hint}"
