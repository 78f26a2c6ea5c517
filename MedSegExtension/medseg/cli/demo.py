"""`medseg demo`: segment the shipped volume of a real head and write a report."""

import argparse
from pathlib import Path

from medseg import files, resources
from medseg.cli import case
from medseg.cli.console import Console, common_options
from medseg.cli.segment import summary
from medseg.engines import cards
from medseg.progress import seconds

MODEL = "brain-t1"
VOLUME = "colin27_t1.nii.gz"


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
    page = case.report(found, stored, options.out, [VOLUME])
    data = summary(found.prediction) | {"output": str(target), "report": str(page)}
    segment = data["segments"][0]
    text = f"{segment['name']}: {segment['volume_ml']:.0f} ml in {seconds(data['seconds']['segment'])}\nReport: {page}"
    console.result(data, text)
    return 0
