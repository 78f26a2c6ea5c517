"""The page of a report: everything in one file, nothing fetched from anywhere.

Names come from files and are not trusted: the template escapes all of them, and the page forbids scripts and requests.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from medseg.model_card import ModelCard
from medseg.progress import seconds
from medseg.report.doubt import Section
from medseg.report.slices import tilt
from medseg.report.templates import template
from medseg.segmentation import Segment, Segmentation
from medseg.segmenter import Prediction, Provenance

_NAMES_IN_ALT = 5
_TILT_TO_TELL = 1.0
_THIN_SPACE = "\u202f"


@dataclass(frozen=True)
class Tile:
    """One picture: its PNG, the plane, where it lies ("S 12 mm") and the segments outlined in it."""

    png: bytes
    plane: str
    position: str
    names: tuple[str, ...]

    @property
    def uri(self) -> str:
        """The picture itself, as an address."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, from the PNG's header."""
        return int.from_bytes(self.png[16:20], "big"), int.from_bytes(self.png[20:24], "big")

    @property
    def text(self) -> str:
        """The picture in words, for who cannot see it."""
        place = f"{self.plane.capitalize()} slice at {self.position}" if self.position else "Image"
        more = len(self.names) - _NAMES_IN_ALT
        names = ", ".join(self.names[:_NAMES_IN_ALT]) + (f" and {more} more" if more > 0 else "")
        return f"{place}, {'outlined: ' + names if names else 'nothing outlined'}"


@dataclass(frozen=True)
class Gallery:
    """The pictures of one plane, and the file that holds their mosaic."""

    plane: str
    file: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Row:
    """One segment in the table."""

    name: str
    color: str
    measure: str
    voxels: str


def page(  # noqa: PLR0913 - all of it is shown
    prediction: Prediction,
    galleries: Sequence[Gallery],
    *,
    title: str,
    sources: Sequence[str],
    card: ModelCard | None,
    doubt: Section | None = None,
    aligned: Any = None,
    corrected: Any = None,
) -> str:
    """Return the HTML page."""
    segmentation = prediction.segmentation
    counts = [int(np.count_nonzero(segmentation.mask(segment))) for segment in segmentation.segments]
    return template("page.html.j2").render(
        title=title,
        galleries=galleries,
        rows=[_row(s, n, segmentation) for s, n in zip(segmentation.segments, counts, strict=True)],
        found=any(counts),
        flat=segmentation.geometry.dimension == 2,
        tilt=_tilt(segmentation),
        notes=prediction.provenance.notes,
        origin=_origin(prediction.provenance, card),
        sha256=prediction.provenance.sha256,
        timings=[(name, _duration(time)) for name, time in prediction.provenance.seconds.items()],
        sources=sources,
        doubt=doubt,
        aligned=aligned,
        corrected=corrected,
    )


def _row(segment: Segment, count: int, segmentation: Segmentation) -> Row:
    grid = segmentation.geometry
    # 3D: mm^3 to ml; 2D: mm^2 as it is
    measure = count * grid.voxel_volume / (1000.0 if grid.dimension == 3 else 1.0)
    red, green, blue = (round(255 * min(max(float(c), 0.0), 1.0)) for c in segment.color)
    return Row(segment.name, f"rgb({red}, {green}, {blue})", _measure(measure), _grouped(f"{count:,}"))


def _measure(value: float) -> str:
    """Write a volume or area with about three digits that count."""
    digits = 1 if value >= 100 else 2 if value >= 1 else 3
    return _grouped(f"{value:,.{digits}f}") if value else "0"


def _grouped(number: str) -> str:
    return number.replace(",", _THIN_SPACE)


def _duration(time: float) -> str:
    return f"{time:.1f} s" if time < 60 else seconds(time)


def _tilt(segmentation: Segmentation) -> str:
    angle = tilt(segmentation.geometry)
    return f"{angle:.0f}" if angle >= _TILT_TO_TELL else ""


def _origin(provenance: Provenance, card: ModelCard | None) -> list[tuple[str, str]]:
    """What the result comes from, line by line; lines without content are left out."""
    lines = [
        ("Model", card.title if card else ""),
        ("Name and version", f"{provenance.model} {provenance.version}".strip()),
        ("Intended use", card.intended_use if card else ""),
        ("Licence of the model", card.license if card else ""),
        ("Software", _pairs(provenance.software)),
        ("Device", provenance.device),
        ("Created", _date(provenance.created)),
        ("Options", _pairs(provenance.options)),
    ]
    return [(name, value) for name, value in lines if value]


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value if isinstance(value, str) else json.dumps(value, default=str)}"
                     for key, value in values.items())  # fmt: skip


def _date(created: str) -> str:
    """Write the time for people; text that is no ISO 8601 time stays as it is."""
    try:
        when = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{when:%Y-%m-%d %H:%M} {when:%Z}".strip()
