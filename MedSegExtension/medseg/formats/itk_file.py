"""Reading through ITK, with its faults told in our words, and the volumes of a file one by one."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import SimpleITK as sitk

from medseg.errors import BadInput

_VOLUME = 3


def opened(path: Path, image_io: str = "") -> sitk.ImageFileReader:
    """Read the header of an image file.

    Args:
        path: an image file.
        image_io: the ITK reader to use; the one that recognises the file where empty.

    Raises:
        BadInput: if it cannot be read, has an axis without voxels, or complex numbers.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(image_io)
    try:
        reader.ReadImageInformation()
    except RuntimeError as fault:
        raise unreadable(path, fault) from fault
    check_size(path, reader.GetSize())
    if "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
        raise BadInput(f"{path} holds complex numbers; save their magnitude as a file of its own")
    return reader


def voxels(reader: sitk.ImageFileReader) -> sitk.Image:
    """Read the voxels of an opened file.

    Raises:
        BadInput: if they cannot be read.
    """
    try:
        return reader.Execute()
    except RuntimeError as fault:
        raise unreadable(Path(reader.GetFileName()), fault) from fault


def byte_count(reader: sitk.ImageFileReader) -> int:
    """How many bytes the voxels of an opened file are long."""
    item = sitk.Image([1, 1], reader.GetPixelID(), reader.GetNumberOfComponents()).GetSizeOfPixelComponent()
    return int(math.prod(reader.GetSize()) * reader.GetNumberOfComponents() * item)


def volume_count(size: tuple[int, ...], components: int = 1) -> int:
    """How many scalar volumes an image of this size is made of."""
    return components * math.prod(size[_VOLUME:])


def volumes(image: sitk.Image) -> list[sitk.Image]:
    """Return an image as scalar volumes, in order: components last, further axes with the first one fastest."""
    size = image.GetSize()
    if len(size) <= _VOLUME:
        return _components(image)
    later = itertools.product(*[range(n) for n in reversed(size[_VOLUME:])])
    extent = [*size[:_VOLUME], *(0 for _ in size[_VOLUME:])]
    parts = [sitk.Extract(image, extent, [0, 0, 0, *reversed(index)]) for index in later]
    return [component for part in parts for component in _components(part)]


def check_size(path: Path, size: tuple[int, ...]) -> None:
    """Check that every axis has a voxel.

    Raises:
        BadInput: if one has none.
    """
    if any(n < 1 for n in size):
        raise BadInput(f"{path} holds no voxels: its size is {' x '.join(str(n) for n in size)}; choose another file")


def check_single(path: Path, count: int) -> None:
    """Check that a file that should hold one volume does.

    Raises:
        BadInput: if it holds more.
    """
    if count > 1:
        raise BadInput(
            f"{path} holds {count} volumes (time points, channels or colours) where one is wanted;"
            " save the one you want as a file of its own"
        )


def bare(image: sitk.Image) -> sitk.Image:
    """Take away everything a file said beside voxels and grid, in place, and return the image.

    ITK carries it along and writes it into results: names of patients out of DICOM, display ranges out of NIfTI.
    """
    for key in image.GetMetaDataKeys():
        image.EraseMetaData(key)
    return image


def _components(image: sitk.Image) -> list[sitk.Image]:
    count = image.GetNumberOfComponentsPerPixel()
    if count == 1:
        return [image]
    return [sitk.VectorIndexSelectionCast(image, n) for n in range(count)]


def unreadable(path: Path, fault: RuntimeError) -> BadInput:
    """Return the error to raise for what ITK refuses."""
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return BadInput(f"{path} cannot be read: damaged, cut short, or not of the format its name says ({lines[-1]})")
