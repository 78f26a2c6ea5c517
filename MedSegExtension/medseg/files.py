"""Reading and writing images, segmentations and provenance.

Where voxels lie is exact to 1e-4 mm in LPS. Whatever cannot be used is refused with a `BadInput` that says why;
whatever had to be changed on the way in is told by a `Notice`. Files are written whole or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from medseg.atomic import check_place, not_written, replacing, why_short
from medseg.errors import BadInput
from medseg.formats import axes, dicom_series, itk_file, lookup_table, nifti, picture, seg_nrrd, text_header
from medseg.formats.suffixes import (
    DICOM,
    METAIMAGE,
    NIFTI,
    NRRD,
    PICTURE,
    READABLE,
    SEGMENTATION,
    beside,
    listed,
    suffix,
    writable_suffix,
)
from medseg.segmentation import Segment, Segmentation, default_segments, label_values
from medseg.segmenter import Provenance

_Reader = Callable[[Path, bool], list[sitk.Image]]
_READERS: dict[str, _Reader] = {
    **dict.fromkeys(NIFTI, nifti.read),
    **dict.fromkeys((*NRRD, *METAIMAGE, SEGMENTATION), text_header.read),
    **dict.fromkeys(PICTURE, picture.read),
    **dict.fromkeys(DICOM, dicom_series.read_file),
}
_WHOLE = 1e-4


def read_image(path: Path | str) -> sitk.Image:
    """Read one scalar image, 3D, or 2D from a radiograph.

    Args:
        path: a file (NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF, DICOM) or a folder with a DICOM series;
            `FOLDER#SeriesInstanceUID` chooses among several series.

    Returns:
        The image with orthonormal directions in LPS mm, and nothing else that the file said.

    Raises:
        BadInput: if it cannot be read, or holds several volumes or colours.
    """
    source = _source(path)
    (image,) = axes.at_right_angles(_load(source, one=True), str(source))
    return itk_file.bare(image)


def read_volumes(path: Path | str) -> list[sitk.Image]:
    """Read every volume of a file, in order: time points or components; a 3D file gives a list of one.

    Raises:
        BadInput: if it cannot be read.
    """
    source = _source(path)
    volumes = axes.at_right_angles(_load(source, one=False), str(source))
    return [itk_file.bare(volume) for volume in volumes]


def read_segmentation(path: Path | str) -> Segmentation:
    """Read a label map of any image format, or 3D Slicer's `.seg.nrrd` with names, colours, codes and overlap.

    Names of a plain label map come from a BIDS lookup table beside it (`labels.tsv` for `labels.nii.gz`) where there is
    one. Labels stored as real numbers become integers.

    Raises:
        BadInput: if it cannot be read, or holds something else than whole numbers from 0.
    """
    source = _source(path)
    if suffix(source).endswith(NRRD) and source.is_file() and seg_nrrd.has_segments(text_header.opened(source)):
        return seg_nrrd.read(source)
    if suffix(source) in PICTURE and source.is_file() and picture.colored(picture.opened(source)):
        raise BadInput(f"{source} is a colour picture, not a label map; save the labels as grey values")
    images = [_labels(source, image) for image in _load(source, one=True)]
    (labels,) = axes.at_right_angles(images, str(source), sitk.sitkNearestNeighbor)
    return Segmentation(itk_file.bare(labels), _named(source, labels))


def write_image(image: sitk.Image, path: Path | str) -> None:
    """Write an image; the suffix names the format.

    Raises:
        BadInput: if the place or the suffix will not do.
        Failed: if it cannot be written whole; an earlier file of that name is unchanged.
    """
    target = Path(path)
    check_writable(target)
    if suffix(target) == SEGMENTATION:
        raise BadInput(f"{target}: {SEGMENTATION} holds segmentations; name an image .nrrd")
    with replacing(target) as (draft,):
        _write(image, draft, target)


def write_segmentation(segmentation: Segmentation, path: Path | str) -> None:
    """Write a segmentation: `.seg.nrrd` keeps everything; other formats keep labels, with a BIDS lookup table beside.

    Raises:
        BadInput: if the place or the suffix will not do, or the format cannot hold overlapping segments.
        Failed: if it cannot be written whole; earlier files of that name are unchanged.
    """
    target = Path(path)
    check_writable(target)
    if suffix(target) == SEGMENTATION:
        with replacing(target) as (draft,):
            seg_nrrd.write(segmentation, draft)
        return
    if segmentation.layers > 1:
        raise BadInput(f"{target} cannot hold segments that overlap; end the name in {SEGMENTATION}")
    with replacing(beside(target, ".tsv"), target) as (table, draft):
        lookup_table.write(segmentation.segments, table)
        _write(segmentation.labels, draft, target)


def write_provenance(provenance: Provenance, result_path: Path | str) -> Path:
    """Write where a result comes from as JSON beside it (`result.json` for `result.nii.gz`) and return that file.

    Raises:
        BadInput: if the place will not do.
        Failed: if it cannot be written whole.
    """
    target = beside(Path(result_path), ".json")
    check_place(target)
    text = json.dumps(provenance.as_json(), indent=2, allow_nan=False, ensure_ascii=False)
    with replacing(target) as (draft,):
        draft.write_text(text + "\n", encoding="utf-8")
    return target


def read_provenance(path: Path | str) -> Provenance:
    """Read the provenance of a result, from its JSON file or from the name of the result.

    Raises:
        BadInput: if there is none, or the file says something else.
    """
    given = Path(path)
    source = given if given.suffix.lower() == ".json" else beside(given, ".json")
    if not source.is_file():
        raise BadInput(f"{source} does not exist, so nothing is known of where {given.name} comes from")
    try:
        return Provenance.from_json(json.loads(source.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError) as fault:
        raise BadInput(f"{source} does not hold the provenance of a result ({fault})") from fault


def check_writable(path: Path | str) -> None:
    """Find out before long work whether a result can be written to `path`.

    Raises:
        BadInput: if its format is unknown, its folder missing or read-only, or it is a folder or protected.
        Failed: if the disk is full.
    """
    writable_suffix(Path(path))
    check_place(Path(path))


def _source(path: Path | str) -> Path:
    """Return the path, checked for being there; `FOLDER#UID` is left as it is."""
    source = Path(path)
    there = source if source.exists() else _chosen(source)[0]
    if not there.exists():
        raise BadInput(f"{there} does not exist; check the name")
    if not os.access(there, os.R_OK):
        raise BadInput(f"{there} may not be read by you; ask its owner, or copy it")
    if there.is_file() and there.stat().st_size == 0:
        raise BadInput(f"{there} is empty; copy or download it again")
    return source


def _chosen(source: Path) -> tuple[Path, str | None]:
    """Split `FOLDER#UID`."""
    folder, mark, uid = str(source).rpartition("#")
    return (Path(folder), uid) if mark and Path(folder).is_dir() else (source, None)


def _load(source: Path, one: bool) -> list[sitk.Image]:
    if source.is_file():
        return _reader(source)(source, one)
    folder, uid = (source, None) if source.exists() else _chosen(source)
    return dicom_series.read_folder(folder, uid, one)


def _reader(source: Path) -> _Reader:
    known = _READERS.get(suffix(source))
    if known is None and dicom_series.is_dicom(source):
        return dicom_series.read_file
    if known is None:
        raise BadInput(f"{source} has no known format; give a DICOM folder or a file that ends in {listed(READABLE)}")
    return known


def _labels(source: Path, image: sitk.Image) -> sitk.Image:
    voxels = sitk.GetArrayViewFromImage(image)
    if voxels.dtype.kind == "f":
        return _whole_numbers(source, image, voxels)
    if voxels.min() < 0:
        raise BadInput(f"{source} is no label map: it holds {voxels.min()}; labels are whole numbers from 0")
    return image


def _whole_numbers(source: Path, image: sitk.Image, voxels: npt.NDArray[np.floating]) -> sitk.Image:
    low, high = float(voxels.min()), float(voxels.max())
    if not (low >= 0 and high < 2**31 and np.abs(voxels - np.rint(voxels)).max() <= _WHOLE):
        raise BadInput(f"{source} is no label map: its values run from {low:g} to {high:g} and are not all whole")
    kind = np.min_scalar_type(round(high))
    labels = sitk.GetImageFromArray(np.rint(voxels).astype(kind))
    labels.CopyInformation(image)
    return labels


def _named(source: Path, labels: sitk.Image) -> tuple[Segment, ...]:
    named = lookup_table.read(beside(source, ".tsv")) if source.is_file() else ()
    known = {segment.value for segment in named}
    return named + default_segments([value for value in label_values(labels) if value not in known])


def _write(image: sitk.Image, draft: Path, target: Path) -> None:
    try:
        sitk.WriteImage(image, str(draft), useCompression=True)
        if suffix(target) in NIFTI:
            nifti.check_written(draft)
    except (RuntimeError, BadInput) as fault:
        reason = why_short(draft) or str(fault).strip().splitlines()[-1]
        raise not_written(target, reason) from fault
