"""3D Slicer's segmentation files, `.seg.nrrd`: a label map, or layers of them, with names, colours and codes.

ITK reads them. We write the header ourselves: ITK calls the layer axis a vector, which slicerio refuses, and pynrrd
drops letters outside ASCII from names when it reads and breaks on them when it writes.
"""

from __future__ import annotations

import gzip
import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from medseg.errors import BadInput
from medseg.formats import axes, itk_file, text_header
from medseg.formats.damage import damaged
from medseg.formats.terminology import tag, with_tags
from medseg.geometry import Geometry
from medseg.segmentation import PALETTE, Segment, Segmentation

_FIELD = re.compile(r"Segment(\d+)_(\w+)")
_TYPES = {
    "u1": "unsigned char",
    "i1": "signed char",
    "u2": "unsigned short",
    "i2": "short",
    "u4": "unsigned int",
    "i4": "int",
    "u8": "unsigned long long int",
    "i8": "long long int",
}
_COMPRESSION = 6


def has_segments(reader: sitk.ImageFileReader) -> bool:
    """Whether an opened NRRD file describes segments."""
    return any(_FIELD.fullmatch(key) for key in reader.GetMetaDataKeys())


def read(path: Path) -> Segmentation:
    """Read a segmentation.

    Raises:
        BadInput: if the file is damaged, holds fractions instead of labels, or names layers it does not have.
    """
    reader = text_header.opened(path)
    if "Fractional" in _representation(reader):
        raise BadInput(f"{path} holds a fractional segmentation; export it from 3D Slicer as a binary labelmap")
    image = text_header.voxels(reader)
    if image.GetDimension() != 3 or "float" in image.GetPixelIDTypeAsString():
        raise BadInput(f"{path} is not a segmentation of 3D Slicer: it holds no 3D label maps; export it again")
    segments = _segments(reader, image.GetNumberOfComponentsPerPixel())
    _check_layers(path, segments, image.GetNumberOfComponentsPerPixel())
    (labels,) = axes.at_right_angles([itk_file.bare(image)], str(path), sitk.sitkNearestNeighbor)
    return Segmentation(labels, segments)


def write(segmentation: Segmentation, path: Path) -> None:
    """Write a segmentation; a 2D one becomes one slice, since 3D Slicer knows volumes only.

    Raises:
        OSError: if the file cannot be written whole.
    """
    labels = segmentation.labels
    voxels = sitk.GetArrayViewFromImage(labels)
    header = "\n".join([*_image_fields(segmentation, voxels.dtype), *_segment_fields(segmentation), "", ""])
    with path.open("wb") as file:
        file.write(header.encode())
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_COMPRESSION, mtime=0, filename="") as packed:
            packed.write(np.ascontiguousarray(voxels).astype(voxels.dtype.newbyteorder("<"), copy=False).data)


def _representation(reader: sitk.ImageFileReader) -> str:
    # renamed in Slicer 5.4
    keys = ("Segmentation_MasterRepresentation", "Segmentation_SourceRepresentation")
    return " ".join(reader.GetMetaData(key) for key in keys if reader.HasMetaDataKey(key))


def _segments(reader: sitk.ImageFileReader, layers: int) -> tuple[Segment, ...]:
    fields: dict[int, dict[str, str]] = {}
    for key in reader.GetMetaDataKeys():
        if match := _FIELD.fullmatch(key):
            fields.setdefault(int(match[1]), {})[match[2]] = reader.GetMetaData(key)
    # before Slicer 4.11 every segment had a layer of its own and files said nothing of it
    shared = layers == 1 or any("Layer" in one for one in fields.values())
    try:
        return tuple(_segment(n, fields[n], 0 if shared else n) for n in sorted(fields))
    except ValueError as fault:
        raise damaged(Path(reader.GetFileName()), f"a segment's description holds no number: {fault}") from fault


def _segment(number: int, fields: dict[str, str], layer: int) -> Segment:
    key = fields.get("ID", f"Segment_{number + 1}")
    segment = Segment(
        value=int(fields.get("LabelValue", 1)),
        name=fields.get("Name", key),
        color=_color(fields.get("Color", ""), number),
        layer=int(fields.get("Layer", layer)),
        key=key,
    )
    return with_tags(segment, fields.get("Tags", ""))


def _color(text: str, number: int) -> tuple[float, float, float]:
    words = text.split()
    if len(words) != 3:
        return PALETTE[number % len(PALETTE)]
    red, green, blue = (float(word) for word in words)
    return red, green, blue


def _check_layers(path: Path, segments: tuple[Segment, ...], layers: int) -> None:
    for segment in segments:
        if segment.layer >= layers:
            raise BadInput(
                f"{path} puts segment {segment.name!r} into layer {segment.layer} of {layers}; export it again"
            )


def _image_fields(segmentation: Segmentation, dtype: np.dtype[np.generic]) -> list[str]:
    grid, layered = _volume(segmentation.geometry), segmentation.layers > 1
    steps = [_vector(step) for step in (grid.cosines * grid.spacing).T]
    sizes = [str(n) for n in grid.size]
    return [
        "NRRD0004",
        f"type: {_TYPES[dtype.str[1:]]}",
        f"dimension: {3 + layered}",
        "space: left-posterior-superior",
        f"sizes: {' '.join([str(segmentation.layers), *sizes] if layered else sizes)}",
        f"space directions: {' '.join(['none', *steps] if layered else steps)}",
        f"kinds: {'list ' * layered}domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(grid.origin)}",
    ]


def _segment_fields(segmentation: Segmentation) -> list[str]:
    # Slicer cropped segments to the extent of the first one of their layer: every one gets the whole
    extent = " ".join(f"0 {n - 1}" for n in _volume(segmentation.geometry).size)
    lines = [
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    ]
    identifiers = keys(segmentation.segments)
    for number, segment in enumerate(segmentation.segments):
        fields = {
            "Color": " ".join(repr(float(c)) for c in segment.color),
            "ColorAutoGenerated": "0",
            "Extent": extent,
            "ID": identifiers[number],
            "LabelValue": str(segment.value),
            "Layer": str(segment.layer),
            "Name": segment.name,
            "NameAutoGenerated": "0",
            "Tags": f"{tag(segment)}|",
        }
        lines += [f"Segment{number}_{key}:={_escaped(value)}" for key, value in fields.items()]
    return lines


def keys(segments: tuple[Segment, ...]) -> list[str]:
    """Return an identifier for each segment: its own, numbered where two have the same."""
    taken: list[str] = []
    for segment in segments:
        wanted = segment.key or f"Segment_{segment.value}"
        free = itertools.chain([wanted], (f"{wanted}_{n}" for n in itertools.count(2)))
        taken.append(next(key for key in free if key not in taken))
    return taken


def _volume(grid: Geometry) -> Geometry:
    """Return a 2D grid as one slice in the axial plane; a 3D grid as it is."""
    if grid.dimension == 3:
        return grid
    cosines = np.eye(3)
    cosines[:2, :2] = grid.cosines
    return Geometry(
        (*grid.size, 1), (*grid.spacing, 1.0), (*grid.origin, 0.0), tuple(float(x) for x in cosines.ravel())
    )


def _vector(numbers: Iterable[float]) -> str:
    return f"({','.join(repr(float(x)) for x in numbers)})"


def _escaped(text: str) -> str:
    """Escape a value as the NRRD format wants it: one line, a backslash doubled."""
    return " ".join(text.splitlines()).replace("\\", "\\\\")
