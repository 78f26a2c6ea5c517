"""One case from files to a prediction: what `segment` and `demo` share."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import SimpleITK as sitk

from medseg import files, inputs
from medseg.assessment import Doubted
from medseg.cli.console import Console
from medseg.correction.summary import Corrected
from medseg.engines.cards import StoredCard
from medseg.engines.client import RemoteSegmenter, WorkerClient
from medseg.errors import Failed
from medseg.progress import Stopwatch
from medseg.registration_review import Reviewed
from medseg.sampling import Sampling
from medseg.segmenter import Prediction


@dataclass(frozen=True, eq=False)
class Case:
    """The first image, what was found in it, and all images as the model was given them."""

    image: sitk.Image
    prediction: Prediction
    images: tuple[sitk.Image, ...] = ()


def input_options(parser: argparse.ArgumentParser) -> None:
    """Add the images of the case and the model."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="a file or DICOM folder; several are the input channels of one case, in the order of the model's card",
    )
    parser.add_argument("--model", required=True, metavar="NAME", help="see: medseg models list")


def engine_options(parser: argparse.ArgumentParser) -> None:
    """Add where and how a network runs."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:NUMBER (%(default)s)")
    parser.add_argument(
        "--runtime",
        default="auto",
        choices=("auto", "pytorch", "openvino"),
        help="auto: OpenVINO on a CPU where it gives the model's test volume the same labels, faster (%(default)s)",
    )


def segment(
    paths: Sequence[str],
    stored: StoredCard,
    options: argparse.Namespace,
    console: Console,
    sampling: Sampling | None = None,
) -> Case:
    """Read, check and segment one case in a worker process; `options` are those of `engine_options`.

    With a sampling, the prediction has its uncertainty.
    """
    watch = Stopwatch()
    with console.noticing() as notices:
        with watch.step("read"):
            images, names = _read(paths)
        fitted = inputs.fit(stored.card, images, names)
        before = len(notices)
        with WorkerClient() as worker, watch.step("segment"):
            segmenter = RemoteSegmenter(stored, worker, options.device, options.runtime)
            prediction = (
                segmenter.sampled(fitted, sampling, console.progress)
                if sampling
                else segmenter.predict(fitted, console.progress)
            )
    # what was noticed on this side of the worker belongs to the result as well
    notes = (*notices[:before], *prediction.provenance.notes)
    seconds = {**watch.seconds, **prediction.provenance.seconds}
    provenance = replace(prediction.provenance, notes=notes, seconds=seconds)
    return Case(images[0], replace(prediction, provenance=provenance), tuple(fitted))


def save(prediction: Prediction, path: Path, console: Console) -> Path:
    """Write the segmentation and, beside it, its provenance; returns where the provenance went."""
    console.progress(1.0, f"writing {path.name}")
    files.write_segmentation(prediction.segmentation, path)
    return files.write_provenance(prediction.provenance, path)


def report(  # noqa: PLR0913, PLR0917 - all of it is shown
    case: Case,
    stored: StoredCard,
    folder: Path,
    sources: Sequence[str],
    doubted: Doubted | None = None,
    reviewed: Reviewed | None = None,
    correction: Corrected | None = None,
) -> Path:
    """Write the HTML report into a folder, with sections on doubt, registration and correction where given.

    Returns:
        Its page.

    Raises:
        Failed: if what draws it is not installed, or it cannot be written.
    """
    try:
        from medseg.report import write_report
    except ModuleNotFoundError as fault:
        raise Failed(f'a report needs {fault.name}, which is not installed: pip install "medseg[review]"') from fault
    return write_report(
        case.prediction,
        case.image,
        folder,
        title=stored.card.title,
        sources=sources,
        card=stored.card,
        doubted=doubted,
        reviewed=reviewed,
        correction=correction,
    )


def _read(paths: Sequence[str]) -> tuple[list[sitk.Image], list[str]]:
    images: list[sitk.Image] = []
    names: list[str] = []
    for path in paths:
        volumes = files.read_volumes(path)
        images += volumes
        names += [path] if len(volumes) == 1 else [f"{path}, volume {n + 1}" for n in range(len(volumes))]
    return images, names
