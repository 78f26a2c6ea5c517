"""Reading radiographs from picture files, which have no place in the patient and mostly no pixel size."""

import warnings
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from medseg.errors import BadInput, Notice
from medseg.formats import itk_file
from medseg.formats.damage import damaged

# Rec. ITU-R BT.601: the weight of red, green and blue in brightness
_LUMA = (0.299, 0.587, 0.114)
_END_OF_JPEG = b"\xff\xd9"
_TAIL = 4096


def read(path: Path, one: bool) -> list[sitk.Image]:  # noqa: ARG001 - the signature of every reader
    """Read a picture as one 2D image of grey values; colour is turned into brightness, and a `Notice` says so.

    Raises:
        BadInput: if it is damaged, or has several pages.
    """
    reader = opened(path)
    image = itk_file.voxels(reader)
    if reader.GetSpacing() == (1.0, 1.0):
        _tell(f"{path} does not say how large a pixel is; 1 mm is assumed, so lengths and areas are in pixels")
    return [_grey(path, image)]


def opened(path: Path) -> sitk.ImageFileReader:
    """Open a picture.

    Raises:
        BadInput: if it is damaged, or has several pages.
    """
    reader = itk_file.opened(path)
    if reader.GetDimension() != 2:
        raise BadInput(f"{path} has several pages, which do not say how far apart they lie; convert it to .nrrd")
    if path.suffix.lower() in (".jpg", ".jpeg") and _END_OF_JPEG not in path.read_bytes()[-_TAIL:]:
        raise damaged(path, "it ends before the picture does")
    return reader


def colored(reader: sitk.ImageFileReader) -> bool:
    """Whether an opened picture has more than grey values."""
    return int(reader.GetNumberOfComponents()) > 2


def _grey(path: Path, image: sitk.Image) -> sitk.Image:
    channels = itk_file.volumes(image)
    if len(channels) < 3:
        return channels[0]
    arrays = [sitk.GetArrayFromImage(channel) for channel in channels[:3]]
    if all(np.array_equal(arrays[0], array) for array in arrays[1:]):
        return channels[0]
    _tell(f"{path} is in colour; its brightness is used")
    brightness = sum(weight * array for weight, array in zip(_LUMA, arrays, strict=True))
    grey = sitk.GetImageFromArray(np.rint(brightness).astype(arrays[0].dtype))
    grey.CopyInformation(channels[0])
    return grey


def _tell(text: str) -> None:
    warnings.warn(text, Notice, stacklevel=4)
