"""Reading NIfTI: ITK reads the voxels, this file decides where they lie.

ITK leaves things to be desired here (seen with ITK 5.4): it repairs damaged headers without a word, takes spacing from
`pixdim` where that contradicts the sform, and falls back to the qform where the sform is sheared.
What it cannot read (sheared axes, NIfTI-2) or would change (NaN, infinity) nibabel reads.
"""

from __future__ import annotations

import gzip
import warnings
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from medseg.errors import BadInput, Notice
from medseg.formats import axes, itk_file
from medseg.formats.damage import check_gzip_stream, cut_short, damaged, fits_trailer
from medseg.formats.nifti_header import NiftiHeader, parse

_ALIKE_MM = 0.1


def read(path: Path, one: bool) -> list[sitk.Image]:
    """Read the volumes of a NIfTI file, each on its grid; `one` refuses files with several.

    Raises:
        BadInput: if the file is damaged, cut short, without size or spacing, or not wanted.
    """
    header = parse(path, _head(path, 540))
    if one:
        itk_file.check_single(path, header.volume_count)
    _tell_doubts(header)
    _check_length(header)
    grid = header.grid
    return [axes.place(volume, grid) for volume in (_by_itk(header) if header.itk_reads else _by_nibabel(header))]


def check_written(path: Path) -> None:
    """Check that a file just written holds all that its header says.

    ITK reports no error when a disk is full (seen with ITK 5.4).

    Raises:
        BadInput: if it does not.
    """
    header = parse(path, _head(path, 540))
    _check_length(header)
    if header.packed:
        check_gzip_stream(path, header.end)


def _head(path: Path, count: int) -> bytes:
    header_file = path.with_suffix(".hdr") if path.suffix.lower() == ".img" else path
    if not header_file.is_file():
        raise BadInput(f"{path} lacks its header, which should be {header_file.name} in the same folder")
    with header_file.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    _check_name(header_file, packed)
    try:
        with gzip.open(header_file) if packed else header_file.open("rb") as stream:
            return bytes(stream.read(count))
    except EOFError as fault:
        raise cut_short(path, 0, count) from fault
    except (gzip.BadGzipFile, zlib.error) as fault:
        raise damaged(path, str(fault)) from fault


def _check_name(path: Path, packed: bool) -> None:
    named = path.suffix.lower() == ".gz"
    if packed and not named:
        raise BadInput(f"{path} is compressed by gzip but its name does not say so; rename it to {path.name}.gz")
    if named and not packed:
        raise BadInput(f"{path} is not compressed by gzip though its name says so; rename it to {path.stem}")


def _check_length(header: NiftiHeader) -> None:
    found = header.data_file.stat().st_size if header.data_file.is_file() else 0
    if not header.packed and found < header.end:
        raise cut_short(header.data_file, found, header.end)


def _by_itk(header: NiftiHeader) -> list[sitk.Image]:
    # ITK turns voxels that are NaN or infinite into 0 without a word; in packed files the checksum tells
    if header.floating and not header.packed:
        return _by_nibabel(header)
    image = itk_file.voxels(itk_file.opened(header.path, "NiftiImageIO"))
    if header.packed and not fits_trailer(header.path, _head(header.path, header.start), image, header.end):
        if header.floating:
            return _by_nibabel(header)
        check_gzip_stream(header.path, header.end)
    return itk_file.volumes(image)


def _by_nibabel(header: NiftiHeader) -> list[sitk.Image]:
    if header.packed:
        check_gzip_stream(header.path, header.end)
    try:
        array = _native(nib.load(header.path).dataobj)
    except (OSError, ValueError, ImageFileError, HeaderDataError) as fault:
        raise damaged(header.path, str(fault)) from fault
    size = header.grid.size
    later = np.reshape(array, (*size, -1), order="F")
    return [sitk.GetImageFromArray(later[..., n].T) for n in range(later.shape[-1])]


def _native(stored: Any) -> npt.NDArray[np.generic]:
    """Return voxels in the machine's byte order; scaled ones as float32, as ITK gives them."""
    scaled = (stored.slope, stored.inter) != (1.0, 0.0)
    array: npt.NDArray[np.generic] = np.asanyarray(stored)
    wide = scaled and stored.dtype != np.float64
    return array.astype(np.float32 if wide else array.dtype.newbyteorder("="), copy=False)


def _tell_doubts(header: NiftiHeader) -> None:
    for doubt in _doubts(header):
        warnings.warn(f"{header.path}: {doubt}", Notice, stacklevel=4)


def _doubts(header: NiftiHeader) -> list[str]:
    if header.affine_name == "pixdim":
        return ["its header does not say how it lies in the patient; left and right are a guess (LPS axes are assumed)"]
    found = []
    measured = np.linalg.norm(header.affine[:-1, :-1], axis=0)[: len(header.pixdim)]
    if not np.allclose(measured, header.pixdim, rtol=1e-3):
        told = [" x ".join(f"{x:.4g}" for x in sizes) for sizes in (measured, header.pixdim)]
        found.append(f"its {header.affine_name} says {told[0]} mm a voxel but pixdim {told[1]} mm; the former is used")
    if (gap := header.disagreement) > _ALIKE_MM:
        found.append(f"its sform and qform place it differently, up to {gap:.3g} mm; the {header.affine_name} is used")
    return found
