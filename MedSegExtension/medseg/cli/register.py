"""`medseg register`: two images in, the transform between them out, with measures of it."""

import argparse
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from medseg import files, landmarks, registration_review, verdict
from medseg.cli.console import Console, common_options
from medseg.engines import registrars_catalog, registration_jobs
from medseg.engines.allocator import keep_freed_memory
from medseg.errors import BadInput
from medseg.formats import transforms
from medseg.geometry import Geometry
from medseg.progress import Stopwatch, seconds
from medseg.registration import Guidance, warp
from medseg.registration_review import Measures, Pair


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser("register", help="find the transform that lays one image on another, and measure it")
    parser.add_argument("fixed", metavar="FIXED", help="the image that stays")
    parser.add_argument("moving", metavar="MOVING", help="the image that is laid on it")
    parser.add_argument(
        "--engine", required=True, metavar="NAME", help=f"one of {', '.join(registrars_catalog.ENGINES)}"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="TRANSFORM", help="from fixed to moving points: .h5, .tfm or .nii.gz"
    )
    parser.add_argument("--warped", type=Path, metavar="FILE", help="also write the moving image on the fixed grid")
    parser.add_argument(
        "--inverse", type=Path, metavar="TRANSFORM", help="also write the way back (linear, svf and networks)"
    )
    parser.add_argument("--report", type=Path, metavar="DIR", help="also write a verdict sheet, JSON and HTML, here")
    _knowledge_options(parser)
    _engine_options(parser)
    common_options(parser)
    parser.set_defaults(run=run)


def _knowledge_options(parser: argparse.ArgumentParser) -> None:
    for side in ("fixed", "moving"):
        parser.add_argument(f"--{side}-labels", metavar="FILE", help=f"a label map of the {side} image, to measure by")
        parser.add_argument(
            f"--{side}-points", metavar="FILE", help=f"landmarks of the {side} image: markups JSON, or CSV in LPS mm"
        )
        parser.add_argument(f"--{side}-mask", metavar="FILE", help=f"what counts in the {side} image")
    parser.add_argument("--initial", type=Path, metavar="TRANSFORM", help="where to begin, from fixed to moving points")
    parser.add_argument("--thresholds", type=Path, metavar="JSON", help="tolerances of the verdict sheet")


def _engine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--measure", default="", help="mattes, ncc, mse; svf engines: lncc, ncc, mi, mind")
    parser.add_argument("--start", default="auto", help="auto, as-is, centre, mass or axes (%(default)s)")
    parser.add_argument("--turns", type=int, default=8, metavar="N", help="random starts (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what is drawn at random (%(default)s)")
    parser.add_argument("--linear", default="affine", help="before what bends: rigid, similarity, affine, none")
    parser.add_argument("--symmetric", action="store_true", help="compare the images both ways (svf engines)")
    parser.add_argument("--weights", default="", metavar="FILE", help="of a network: symnet, unigradicon; learned: RUN")
    parser.add_argument("--refine", action="store_true", help="optimise for these images afterwards (networks)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:NUMBER (%(default)s)")


def run(options: argparse.Namespace, console: Console) -> int:
    """Run the command."""
    _check_places(options)
    thresholds = verdict.Thresholds.read(options.thresholds) if options.thresholds else verdict.Thresholds()
    watch = Stopwatch()
    with console.noticing() as notices:
        with watch.step("read"):
            pair, guidance = _read(options)
        with watch.step("register"):
            forward, backward = _register(options, pair, guidance, console)
        with watch.step("measure"):
            measures = registration_review.review(pair, forward, backward)
        written = _write(options, pair, forward, backward)
        sheet = verdict.Sheet(
            options.fixed,
            options.moving,
            str(options.out),
            verdict.checks(measures.for_verdict(), thresholds),
            measures.as_json(),
            notices=tuple(notices),
        )
        if options.report:
            written["report"] = str(registration_jobs.report(sheet, pair.fixed, pair.moving, forward, options.report))
    data: dict[str, Any] = {"engine": options.engine, **written, "measures": measures.as_json()}
    data |= {"seconds": dict(watch.seconds), "notices": notices}
    console.result(data, _text(data, measures, sheet))
    return 0


def _check_places(options: argparse.Namespace) -> None:
    engine = registrars_catalog.find(options.engine)
    if engine.needs_points and not (options.fixed_points and options.moving_points):
        raise BadInput(f"engine {engine.name} goes by landmarks; give --fixed-points and --moving-points")
    for path in (options.out, options.inverse):
        if path:
            transforms.check_writable(path)
    if options.warped:
        files.check_writable(options.warped)


def _read(options: argparse.Namespace) -> tuple[Pair, Guidance]:
    fixed, moving = files.read_image(options.fixed), files.read_image(options.moving)
    labels = [files.read_segmentation(p) if p else None for p in (options.fixed_labels, options.moving_labels)]
    points = [landmarks.read(p) if p else None for p in (options.fixed_points, options.moving_points)]
    masks = [files.read_image(p) if p else None for p in (options.fixed_mask, options.moving_mask)]
    pair = Pair(fixed, moving, labels[0], labels[1], points[0], points[1])
    known = [[] if p is None else p[:, : fixed.GetDimension()].tolist() for p in points]
    initial = transforms.read(options.initial) if options.initial else None
    return pair, Guidance(masks[0], masks[1], initial, known[0], known[1])


def _register(
    options: argparse.Namespace, pair: Pair, guidance: Guidance, console: Console
) -> tuple[sitk.Transform, sitk.Transform | None]:
    keep_freed_memory()
    chosen = registrars_catalog.Options(
        options.measure,
        options.start,
        options.turns,
        options.seed,
        options.symmetric,
        options.linear,
        options.device,
        options.weights,
        options.refine,
    )
    images = pair.fixed, pair.moving
    forward, backward = registration_jobs.register(options.engine, chosen, *images, guidance, console.progress)
    if options.inverse and backward is None:
        raise BadInput(f"engine {options.engine} gives no way back; leave out --inverse, or choose svf-fast")
    return forward, backward


def _write(
    options: argparse.Namespace, pair: Pair, forward: sitk.Transform, backward: sitk.Transform | None
) -> dict[str, Any]:
    grid = Geometry.of(pair.fixed)
    transforms.write(forward, options.out, grid)
    written = {"transform": str(options.out)}
    if options.warped:
        files.write_image(warp(pair.moving, forward, grid), options.warped)
        written["warped"] = str(options.warped)
    if options.inverse and backward is not None:
        transforms.write(backward, options.inverse, Geometry.of(pair.moving))
        written["inverse"] = str(options.inverse)
    return written


def _text(data: dict[str, Any], measures: Measures, sheet: verdict.Sheet) -> str:
    before, after = measures.likeness_before, measures.likeness
    lines = [
        f"Correlation          {before.ncc:8.3f} -> {after.ncc:.3f}",
        f"Local correlation    {before.lncc:8.3f} -> {after.lncc:.3f}",
        f"Mutual information   {before.mutual_information:8.3f} -> {after.mutual_information:.3f} nats",
        f"Folded voxels        {measures.folding.non_positive_percent:8.3g} %",
    ]
    if measures.landmarks and measures.landmarks_before:
        now, then = measures.landmarks, measures.landmarks_before
        lines.append(f"Landmark error       {then.mean:8.2f} -> {now.mean:.2f} mm (maximum {now.maximum:.2f} mm)")
    if measures.labels:
        means = data["measures"]["labels_mean_before"]["dice"], data["measures"]["labels_mean"]["dice"]
        lines.append(f"Dice of structures   {means[0]:8.3f} -> {means[1]:.3f}")
    lines += [f"Out of tolerance: {check.text} {check.value} {check.unit}".rstrip() for check in sheet.failed]
    lines += [f"{name:<10} {data[name]}" for name in ("transform", "warped", "inverse", "report") if name in data]
    return "\n".join([*lines, f"{data['engine']}, {seconds(data['seconds']['register'])}"])
