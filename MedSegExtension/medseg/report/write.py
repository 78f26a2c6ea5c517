"""A report as a folder: `index.html`, which needs nothing else, and the same mosaics as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import SimpleITK as sitk

from medseg.assessment import Doubted
from medseg.correction.summary import Corrected
from medseg.model_card import ModelCard
from medseg.registration_review import Reviewed
from medseg.report import aligned, corrected
from medseg.report.doubt import section
from medseg.report.folder import save
from medseg.report.html import Gallery, Tile, page
from medseg.report.mosaic import PICTURE as PICTURE_PIXELS
from medseg.report.mosaic import TILE, draw, mosaic, png
from medseg.report.slices import PICTURE, Plane, Slice, planes, slices
from medseg.segmenter import Prediction

_COUNT = 6
_INDEX = "index.html"


def write_report(  # noqa: PLR0913 - all of it is shown
    prediction: Prediction,
    image: sitk.Image,
    folder: Path,
    *,
    title: str,
    sources: Sequence[str],
    card: ModelCard | None,
    doubted: Doubted | None = None,
    reviewed: Reviewed | None = None,
    correction: Corrected | None = None,
) -> Path:
    """Write `index.html` and one PNG for each plane into `folder`, made where there is none; return the page's path.

    Nothing is written before everything is drawn; files of the same names are replaced, others left alone.

    Args:
        prediction: what was found.
        image: what it was found in; scalar, 2D or 3D like the segmentation.
        folder: where to.
        title: the heading.
        sources: names of the input files, as they shall be shown.
        card: the model, for its licence and intended use, where known.
        doubted: what is told of uncertainty, of this prediction or another one of the same patient.
        reviewed: a registration to be told of as well.
        correction: a correction to be told of as well.

    Raises:
        Failed: if the folder cannot be written to; it is left as it was.
    """
    drawn = [_gallery(prediction, image, plane) for plane in planes(prediction.segmentation.geometry)]
    doubt, laid = section(doubted) if doubted else None, aligned.section(reviewed) if reviewed else None
    changed = corrected.section(correction) if correction else None
    shown = [gallery for gallery, _ in drawn]
    text = page(
        prediction, shown, title=title, sources=sources, card=card, doubt=doubt, aligned=laid, corrected=changed
    )
    files = {gallery.file: picture for gallery, picture in drawn} | {_INDEX: _encoded(text)}
    save(files, folder)
    return folder / _INDEX


def _encoded(text: str) -> bytes:
    # a file name that is not UTF-8 reaches Python as lone surrogates, which no encoder takes
    return text.encode("utf-8", errors="replace")


def _gallery(prediction: Prediction, image: sitk.Image, plane: Plane) -> tuple[Gallery, bytes]:
    shown = slices(image, prediction.segmentation, plane, _COUNT)
    pictures = [draw(cut, PICTURE_PIXELS if plane is PICTURE else TILE) for cut in shown]
    tiles = [_tile(cut, png(picture)) for cut, picture in zip(shown, pictures, strict=True)]
    return Gallery(plane.name, f"{plane.name}.png", tuple(tiles)), png(mosaic(pictures))


def _tile(cut: Slice, picture: bytes) -> Tile:
    names = tuple(segment.name for segment, _ in cut.masks)
    return Tile(picture, cut.plane.name, cut.position, names)
