"""`medseg demo`: segment a real head that is shipped, tell where a network is unsure, register a pair, and report."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from medseg import files, resources, verdict
from medseg.assessment import Doubted, assess
from medseg.calibration import temperature_of
from medseg.cli import case
from medseg.cli.console import Console, common_options
from medseg.cli.segment import summary
from medseg.correction.summary import Corrected
from medseg.engines import cards, registration_jobs
from medseg.engines.interactive_catalog import open_interactive
from medseg.engines.registrars_catalog import Options
from medseg.geometry import Geometry
from medseg.metrics import dice
from medseg.progress import Stopwatch, seconds
from medseg.prompt import Point
from medseg.registration import NO_GUIDANCE
from medseg.registration_review import Pair, Reviewed, review
from medseg.sampling import Sampling
from medseg.segmentation import Mask, Segmentation

MODEL = "brain-t1"
DOUBTED = "brain-parts"
"""Whose uncertainty is told: the network of `MODEL` was trained without dropout."""
HOW = Sampling("dropout", samples=10, fast=True)
VOLUME = "colin27_t1.nii.gz"
BITE, EYE = (30.0, -25.0, 19.0), (30.0, -62.0, -42.0)
"""Where faults are put into the mask before it is corrected, LPS mm: a part goes, and an eye is taken for brain."""
PAIR = ("head_ct.nii.gz", "head_t1_of_ct.nii.gz")


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser("demo", help="segment a real brain MR volume that comes along, and write a report")
    parser.add_argument("--out", type=Path, default=Path("demo-report"), metavar="DIR", help="(%(default)s)")
    case.engine_options(parser)
    common_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Run the command."""
    stored = cards.find(MODEL)
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / "brain.seg.nrrd"
    files.check_writable(target)
    source = resources.shipped() / "SampleData" / VOLUME
    found = case.segment([str(source)], stored, options, console)
    case.save(found.prediction, target, console)
    doubted = _doubted(str(source), options, console)
    registered, corrected = _registered(options.device, console), _corrected(found, console)
    page = case.report(found, stored, options.out, [VOLUME], doubted, registered, corrected)
    data = summary(found.prediction) | {"output": str(target), "report": str(page)}
    data["uncertainty"] = doubted.judged.as_json()["verdict"]
    segment = data["segments"][0]
    text = f"{segment['name']}: {segment['volume_ml']:.0f} ml in {seconds(data['seconds']['segment'])}\nReport: {page}"
    console.result(data, text)
    return 0


def _doubted(source: str, options: argparse.Namespace, console: Console) -> Doubted:
    """Sample the network that has dropout on the same head."""
    stored = cards.find(DOUBTED)
    how = replace(HOW, temperature=temperature_of(stored.card) or 1.0)
    pytorch = argparse.Namespace(**{**vars(options), "runtime": "pytorch"})  # a compiled network has no dropout left
    found = case.segment([source], stored, pytorch, console, how)
    judged = assess(found.prediction, stored.card, found.images)
    return Doubted(found.prediction, found.image, judged, stored.card.title)


def _corrected(found: case.Case, console: Console) -> Corrected:
    """Put two faults into the mask of the brain, and correct each by a click."""
    right = found.prediction.segmentation
    segment, grid = right.segments[0], right.geometry
    before = right.mask(segment) & ~_ball(grid, BITE, 15.0) | _ball(grid, EYE, 11.0)
    clicks = (Point(BITE), Point(EYE, positive=False))
    watch = Stopwatch()
    with open_interactive("geodesic", "cpu").open(found.image, console.progress) as session, watch.step("clicks"):
        session.seed(grid.image(before.astype(np.uint8)))
        after = before.copy()
        for click in clicks:
            crop = session.prompt(click)
            after[grid.slices_of(Geometry.of(crop))] = sitk.GetArrayViewFromImage(crop) != 0
    one = replace(segment, value=1, layer=0)
    first, last = (Segmentation(grid.image(m.astype(np.uint8)), (one,)) for m in (before, after))
    likeness = [dice(mask, right.mask(segment)) for mask in (before, after)]
    how = (
        "Two faults were put into the mask on purpose: a part is missing, and an eye is in it. One click into each, "
        f"answered without a network in {watch.seconds['clicks']:.1f} s together, brings it from Dice "
        f"{likeness[0]:.4f} to {likeness[1]:.4f} of the mask as it was before."
    )
    return Corrected(found.image, first, last, how)


def _ball(grid: Geometry, centre: Sequence[float], radius: float) -> Mask:
    """Return the voxels within `radius` mm of a point in LPS mm, shape (k, j, i)."""
    reach = [int(radius / s) + 1 for s in grid.spacing]
    start = [max(0, round(c) - r) for c, r in zip(grid.index(centre), reach, strict=True)]
    size = [min(2 * r + 1, n - b) for r, n, b in zip(reach, grid.size, start, strict=True)]
    near = grid.crop(start, size)
    index = np.moveaxis(np.indices(near.shape)[::-1], 0, -1)
    points = index @ near.affine[:3, :3].T + near.affine[:3, 3]
    mask = np.zeros(grid.shape, bool)
    mask[grid.slices_of(near)] = ((points - np.asarray(centre)) ** 2).sum(axis=-1) < radius**2
    return mask


def _registered(device: str, console: Console) -> Reviewed:
    """Lay the MR of a head on its CT, and measure it."""
    fixed, moving = (files.read_image(resources.shipped() / "SampleData" / name) for name in PAIR)
    chosen = Options(measure="mattes", device=device)
    with console.noticing() as notices:
        forward, backward = registration_jobs.register("rigid", chosen, fixed, moving, NO_GUIDANCE, console.progress)
        pair = Pair(fixed, moving)
        measures = review(pair, forward, backward)
    checks = verdict.checks(measures.for_verdict(), verdict.Thresholds())
    sheet = verdict.Sheet(*PAIR, "rigid", checks, measures.as_json(), notices=tuple(notices))
    return Reviewed(sheet, pair, forward)
