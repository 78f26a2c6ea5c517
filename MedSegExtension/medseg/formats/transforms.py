"""Reading and writing transforms: ITK's `.h5` and `.tfm`, and displacement fields as images.

A transform maps fixed points to moving points in LPS mm, as ITK, ANTs and 3D Slicer write them. A displacement field
image holds at each voxel the vector in LPS mm from there to the point in the moving image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from medseg.atomic import check_place, not_written, replacing, why_short
from medseg.errors import BadInput
from medseg.formats.suffixes import listed
from medseg.geometry import Geometry

ITK = (".h5", ".tfm")
FIELD = (".nii.gz", ".nii", ".nrrd", ".mha")
READABLE = (*ITK, ".hdf5", ".txt", ".mat", ".xfm", *FIELD)
WRITABLE = (*ITK, *FIELD)


def ending(path: Path, known: tuple[str, ...] = READABLE) -> str:
    """Return the known suffix of a transform file in lower case, the longest that fits, or ""."""
    return max((one for one in known if path.name.lower().endswith(one)), key=len, default="")


def check_writable(path: Path) -> None:
    """Find out before long work whether a transform can be written to `path`.

    Raises:
        BadInput: if its format is unknown or the place will not do.
        Failed: if the disk is full.
    """
    if not ending(path, WRITABLE):
        raise BadInput(f"{path} cannot hold a transform; end the name in {listed(WRITABLE)}")
    check_place(path)


def write(transform: sitk.Transform, path: Path, grid: Geometry) -> None:
    """Write a transform; an image format holds it as a displacement field at the voxels of `grid`.

    Raises:
        BadInput: if the place or the suffix will not do.
        Failed: if it cannot be written whole; an earlier file of that name is unchanged.
    """
    check_writable(path)
    with replacing(path) as (draft,):
        try:
            if ending(path) in FIELD:
                sitk.WriteImage(_field(transform, grid), str(draft), useCompression=True)
            else:
                sitk.WriteTransform(_flat(transform), str(draft))
        except RuntimeError as fault:
            raise not_written(path, why_short(draft) or str(fault).strip().splitlines()[-1]) from fault


def read(path: Path) -> sitk.Transform:
    """Read a transform, or a displacement field as one.

    Raises:
        BadInput: if there is none, or it is damaged or of another kind.
    """
    if not path.is_file():
        raise BadInput(f"{path} does not exist; check the name")
    if not ending(path):
        raise BadInput(f"{path} is no transform that is known; give a file that ends in {listed(READABLE)}")
    try:
        return _as_transform(path) if ending(path) in FIELD else sitk.ReadTransform(str(path))
    except RuntimeError as fault:
        reason = str(fault).strip().splitlines()[-1]
        raise BadInput(f"{path} cannot be read as a transform: damaged, or of another kind ({reason})") from fault


def _flat(transform: sitk.Transform) -> sitk.Transform:
    """Return a transform without composites within composites, which ITK's files cannot hold."""
    if transform.GetName() != "CompositeTransform":
        return transform
    flat = sitk.CompositeTransform(transform)
    flat.FlattenTransform()
    return flat


def _field(transform: sitk.Transform, grid: Geometry) -> sitk.Image:
    return sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat32, grid.size, grid.origin, grid.spacing, grid.direction
    )


def _as_transform(path: Path) -> sitk.Transform:
    image = sitk.ReadImage(str(path))
    if image.GetNumberOfComponentsPerPixel() != image.GetDimension():
        raise BadInput(f"{path} is an image, not a displacement field: it holds no vector at each voxel")
    if not np.all(np.isfinite(sitk.GetArrayViewFromImage(image))):
        raise BadInput(f"{path} holds vectors that are NaN or infinite; it cannot be used as a transform")
    return sitk.DisplacementFieldTransform(sitk.Cast(image, sitk.sitkVectorFloat64))
