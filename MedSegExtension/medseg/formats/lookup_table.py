"""Names and colours for label maps in formats that hold voxels only, as a table beside the file.

The table is a BIDS lookup table (Brain Imaging Data Structure 1.9, "Discrete segmentations"): tab-separated, one row a
label, with the columns `index`, `name` and `color` in hexadecimal; further columns hold the key and the codes.
"""

import csv
import warnings
from pathlib import Path

from medseg.errors import Notice
from medseg.formats.terminology import code_of, triplet
from medseg.segmentation import PALETTE, Color, Segment

_CODES = ("category", "code", "modifier", "region", "region_modifier")
_COLUMNS = ("index", "name", "color", "key", *_CODES)
_ABSENT = "n/a"


def write(segments: tuple[Segment, ...], path: Path) -> None:
    """Write the table.

    Raises:
        OSError: if it cannot be written whole.
    """
    rows = [_COLUMNS, *(_row(segment) for segment in segments)]
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def read(path: Path) -> tuple[Segment, ...]:
    """Read a table; empty if there is none, or if it is something else, which a `Notice` says."""
    if not path.is_file():
        return ()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        return tuple(_segment(row) for row in rows if int(row["index"]) > 0)
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        text = f"{path} is not a lookup table of labels ({fault!r}); segments are named by their values"
        warnings.warn(text, Notice, stacklevel=3)
        return ()


def _row(segment: Segment) -> tuple[str, ...]:
    codes = [getattr(segment, name) for name in _CODES]
    words = [str(segment.value), segment.name, _hex(segment.color), segment.key]
    return tuple(" ".join(word.split()) or _ABSENT for word in (*words, *(triplet(c) if c else "" for c in codes)))


def _segment(row: dict[str, str]) -> Segment:
    value, known = int(row["index"]), {key: text for key, text in row.items() if text and text != _ABSENT}
    category, code, modifier, region, region_modifier = (code_of(known.get(name, "")) for name in _CODES)
    color = _color(known["color"]) if "color" in known else PALETTE[(value - 1) % len(PALETTE)]
    return Segment(
        value, known["name"], color, code, category, 0, known.get("key", ""), modifier, region, region_modifier
    )


def _hex(color: Color) -> str:
    return "#" + "".join(f"{round(255 * c):02x}" for c in color)


def _color(text: str) -> Color:
    red, green, blue = bytes.fromhex(text.removeprefix("#")[:6])
    return red / 255, green / 255, blue / 255
