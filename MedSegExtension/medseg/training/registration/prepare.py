"""Images of a folder on one grid: each is laid linearly on the first one, once, and kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from medseg import files
from medseg.atomic import replacing
from medseg.errors import BadInput, Failed
from medseg.geometry import Geometry
from medseg.progress import Progress, part
from medseg.registrars import checks, pair_networks
from medseg.registrars.diffeomorphic import TorchLinear
from medseg.registration import NO_GUIDANCE, overlap, warp
from medseg.training.config import TrainingConfig
from medseg.training.prepared import reference
from medseg.training.registration.pairs import PreparedImage
from medseg.training.samples import Case

ALIGNMENTS = ("affine", "rigid", "none")
MEASURES = ("ncc", "mi")
_TURNS = 4


@dataclass(frozen=True, eq=False)
class Alignment:
    """How images are laid on the first one: a linear registration by a measure, or by their headers ("none")."""

    kind: str
    measure: str
    seed: int
    first: sitk.Image
    grid: Geometry

    def found(self, image: sitk.Image, path: Path, progress: Progress) -> sitk.Transform:
        """Return the transform from the first image to this one.

        Raises:
            BadInput: if they cannot be registered, or lie apart where the headers are trusted.
        """
        if self.kind != "none" and image is not self.first:
            engine = TorchLinear(self.kind, self.measure, "auto", _TURNS, self.seed)
            return engine.register(self.first, image, progress)
        still = sitk.Transform(3, sitk.sitkIdentity)
        if not overlap(self.grid, Geometry.of(image), still):
            raise BadInput(
                f"{path} does not lie where the other images do, and data/options/align is none; set it to affine"
            )
        return still


def prepare_all(
    cases: Sequence[Case], config: TrainingConfig, folder: Path, labelled: bool, progress: Progress
) -> Iterator[PreparedImage]:
    """Prepare images, those that lie in the folder already excepted; the first one's place is that of all.

    Raises:
        BadInput: if an image cannot be used; the message names the file.
        Failed: if the disk is full.
    """
    options = config.data.options
    first = read(cases[0].images[0])
    wanted = config.card().preprocessing
    spacing = wanted.spacing or (1.0, 1.0, 1.0)
    kind = checks.one_of(str(options.get("align", "affine")), ALIGNMENTS, "data/options/align")
    measure = checks.one_of(str(options.get("measure", "ncc")), MEASURES, "data/options/measure")
    grid = pair_networks.frame(first, config.patch, spacing, wanted.orientation)
    alignment = Alignment(kind, measure, config.seed, first, grid)
    _make(folder)
    for number, case in enumerate(cases):
        report = part(progress, number / len(cases), (number + 1) / len(cases))
        report(0.0, f"preparing image {number + 1} of {len(cases)}: {case.name}")
        image, labels = _files(case, cases[0], config, folder, labelled)
        if not image.is_file():
            _prepare(case, number, config, alignment, (image, labels), report)
        yield PreparedImage(case.name, image, labels, tuple(spacing))


def read(path: Path) -> sitk.Image:
    """Read an image as float32.

    Raises:
        BadInput: if nothing can be registered to it: another dimension than 3, constant, or voxels that are no numbers.
    """
    image = files.read_image(str(path))
    if image.GetDimension() != 3:
        raise BadInput(f"{path} is {image.GetDimension()}D; a registration network is trained on volumes")
    try:
        return checks.prepared(image, image, NO_GUIDANCE)[0]
    except BadInput as fault:
        raise BadInput(f"{path}: {str(fault).removeprefix('the fixed image ')}") from fault


def _prepare(  # noqa: PLR0913, PLR0917
    case: Case,
    number: int,
    config: TrainingConfig,
    alignment: Alignment,
    targets: tuple[Path, Path | None],
    progress: Progress,
) -> None:
    path, grid = case.images[0], alignment.grid
    image = read(path) if number else alignment.first
    truth = reference(case, config, Geometry.of(image)) if targets[1] else None
    there = alignment.found(image, path, progress)
    voxels = [pair_networks.seen(image, there, grid)[0, 0].numpy()]
    if float(np.ptp(voxels[0])) == 0:
        raise BadInput(f"nothing of {path} lies on the network's grid; make patch or spacing larger")
    if truth is not None:
        voxels.append(sitk.GetArrayFromImage(warp(truth.labels, there, grid, sitk.sitkNearestNeighbor)).T)
    made = [target for target in targets if target]
    with replacing(*made) as drafts:
        for array, draft in zip(voxels, drafts, strict=True):
            np.save(draft, np.ascontiguousarray(array))


def _files(case: Case, first: Case, config: TrainingConfig, folder: Path, labelled: bool) -> tuple[Path, Path | None]:
    """Tell files by path, size and time of change, so that a changed file is prepared anew."""
    used = [case.images[0], first.images[0], *([case.labels] if labelled else [])]
    told = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in used]
    how = [list(config.patch), dict(config.preprocessing), dict(config.data.mapping), dict(config.data.options)]
    stem = f"{case.name}-{hashlib.sha256(json.dumps([told, how]).encode()).hexdigest()[:12]}"
    return folder / f"{stem}-image.npy", folder / f"{stem}-labels.npy" if labelled else None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise Failed(f"the folder {folder} cannot be made: {fault.strerror}") from fault
