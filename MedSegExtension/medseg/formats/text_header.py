"""The headers of NRRD and MetaImage files, which are lines of text, checked before any voxel is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from medseg.errors import BadInput
from medseg.formats import itk_file
from medseg.formats.damage import check_gzip, check_zlib, cut_short
from medseg.formats.suffixes import NRRD, suffix

_LAST_KEY = "elementdatafile"
_MOST_LINES = 100_000


@dataclass(frozen=True)
class TextHeader:
    """The fields of a header, with keys in lower case, and the byte at which it ends."""

    path: Path
    fields: Mapping[str, str]
    end: int

    def numbers(self, key: str) -> list[float]:
        """Return the numbers of a field; none if it is absent or says something else."""
        return _numbers(self.fields.get(key, ""))


def read(path: Path, one: bool) -> list[sitk.Image]:
    """Read the volumes of an NRRD or MetaImage file; `one` refuses files with several.

    Raises:
        BadInput: if the file is damaged, cut short, without size or spacing, or not wanted.
    """
    reader = opened(path)
    if one:
        itk_file.check_single(path, itk_file.volume_count(reader.GetSize(), reader.GetNumberOfComponents()))
    return itk_file.volumes(voxels(reader))


def opened(path: Path) -> sitk.ImageFileReader:
    """Check the header of an NRRD or MetaImage file and open it.

    Raises:
        BadInput: if ITK refuses it or would silently repair it.
    """
    header = read_header(path)
    nrrd = suffix(path).endswith(NRRD)
    check, image_io = (_check_nrrd, "NrrdImageIO") if nrrd else (_check_metaimage, "MetaImageIO")
    check(header)
    return itk_file.opened(path, image_io)


def voxels(reader: sitk.ImageFileReader) -> sitk.Image:
    """Read the voxels of an opened file.

    Raises:
        BadInput: if they are damaged or cut short.
    """
    header = read_header(Path(reader.GetFileName()))
    if suffix(header.path).endswith(NRRD):
        return _nrrd_voxels(header, reader)
    return _metaimage_voxels(header, reader)


def read_header(path: Path) -> TextHeader:
    """Read the lines "key: value" of an NRRD header or "key = value" of a MetaImage header."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        for line, _ in zip(file, range(_MOST_LINES), strict=False):
            key, _, value = re.sub(r"\s*(:=|[:=])\s*", "\0", line.decode("latin-1").strip(), count=1).partition("\0")
            fields.setdefault(key.lower(), value)
            if key.lower() in ("", _LAST_KEY):
                break
        return TextHeader(path, fields, file.tell())


def _check_nrrd(header: TextHeader) -> None:
    itk_file.check_size(header.path, tuple(int(n) for n in header.numbers("sizes")))
    _check_spacing(header.path, [s for s in header.numbers("spacings") if not math.isnan(s)])
    steps = re.findall(r"\(([^)]*)\)", header.fields.get("space directions", ""))
    _check_spacing(header.path, [math.hypot(*_numbers(step)) for step in steps])
    units = set(re.findall(r'"([^"]*)"', header.fields.get("space units", ""))) - {"", "mm", "???"}
    if units:
        raise BadInput(f"{header.path} is measured in {', '.join(sorted(units))}; convert it to millimetres")


def _check_metaimage(header: TextHeader) -> None:
    itk_file.check_size(header.path, tuple(int(n) for n in header.numbers("dimsize")))
    _check_spacing(header.path, header.numbers("elementspacing") or header.numbers("elementsize"))


def _check_spacing(path: Path, spacing: list[float]) -> None:
    if any(not (0 < s < math.inf) for s in spacing):
        told = " x ".join(f"{s:g}" for s in spacing)
        raise BadInput(f"{path} has a voxel spacing of {told} mm; every one must be above 0: repair the header")


def _nrrd_voxels(header: TextHeader, reader: sitk.ImageFileReader) -> sitk.Image:
    image = itk_file.voxels(reader)
    packed = header.fields.get("encoding", "").lower() in ("gzip", "gz")
    if packed and not {"data file", "datafile", "byte skip", "line skip"} & set(header.fields):
        check_gzip(header.path, b"", image, itk_file.byte_count(reader), header.end)
    return image


def _metaimage_voxels(header: TextHeader, reader: sitk.ImageFileReader) -> sitk.Image:
    """Read voxels and compare their number of bytes with the file's, which ITK reports with a wrong reason."""
    name = header.fields.get(_LAST_KEY, "")
    local = name.upper() == "LOCAL"
    data = header.path if local else header.path.parent / name
    plain = "headersize" not in header.fields and "%" not in name and " " not in name and name.upper() != "LIST"
    if not (plain and data.is_file()):
        return itk_file.voxels(reader)
    offset = header.end if local else 0
    packed = header.fields.get("compresseddata", "").lower() == "true"
    _check_length(header, data, offset, 0 if packed else itk_file.byte_count(reader))
    image = itk_file.voxels(reader)
    if packed:
        check_zlib(data, offset, image)
    return image


def _check_length(header: TextHeader, data: Path, offset: int, wanted: int) -> None:
    wanted = wanted or int((header.numbers("compresseddatasize") or [0])[0])
    found = data.stat().st_size - offset
    if found < wanted:
        raise cut_short(data, found, wanted)


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in re.split(r"[\s,]+", text.strip()) if word]
    except ValueError:
        return []
