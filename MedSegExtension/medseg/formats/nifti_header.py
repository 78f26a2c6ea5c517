"""What a NIfTI header says, checked before any voxel is read: nothing is repaired in silence."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from medseg.errors import BadInput
from medseg.formats import axes, itk_file
from medseg.formats.damage import cut_short, damaged
from medseg.geometry import Geometry, Matrix

_LENGTHS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
_MAGIC = {b"n+1\0": 348, b"ni1\0": 348, b"n+2\0": 540, b"ni2\0": 540}
_MM = {1: 1000.0, 3: 0.001}
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SCANNER = 1
_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """A checked header.

    Attributes:
        path: the file that was named.
        fields: the header as nibabel reads it.
        affines: the matrices from index (i, j, k) to LPS mm by name, the one that counts first. That is the sform where
            it means the scanner's coordinates or stands alone, else the qform, as in 3D Slicer and ITK; "pixdim" where
            neither is declared.
    """

    path: Path
    fields: Any
    affines: dict[str, Matrix]

    @property
    def dims(self) -> tuple[int, ...]:
        """Voxels along every axis, time and components included."""
        return tuple(int(n) for n in self.fields["dim"][1 : 1 + int(self.fields["dim"][0])])

    @property
    def size(self) -> tuple[int, int, int]:
        """Voxels along the axes of space, 1 for the third axis of a 2D file."""
        i, j, k = (*self.dims, 1)[:3]
        return i, j, k

    @property
    def volume_count(self) -> int:
        """How many scalar volumes the file holds."""
        return itk_file.volume_count(self.dims)

    @property
    def pixdim(self) -> list[float]:
        """Voxel size in mm along the axes of space that the file has."""
        return [float(x) * _unit(self.fields) for x in self.fields["pixdim"][1 : 1 + min(3, len(self.dims))]]

    @property
    def affine_name(self) -> str:
        """Which of its affines counts: "sform", "qform" or "pixdim"."""
        return next(iter(self.affines))

    @property
    def affine(self) -> Matrix:
        """The matrix that counts."""
        return self.affines[self.affine_name]

    @property
    def disagreement(self) -> float:
        """How far apart sform and qform place a corner of the volume, in mm; 0 if only one is declared."""
        corners = np.array([[*c, 1] for c in itertools.product(*[(0, n - 1) for n in self.size])])
        places = [corners @ affine.T for affine in self.affines.values()]
        return max(float(np.linalg.norm(place - places[0], axis=1).max()) for place in places)

    @property
    def grid(self) -> Geometry:
        """Where the voxels lie; 2D for a 2D file in an axial plane, else 3D. Its axes may be skew."""
        flat = len(self.dims) == 2 and np.abs(self.affine[2, :2]).max() <= axes.ROUNDING * min(self.pixdim)
        if not flat:
            return axes.from_affine(self.size, self.affine)
        return axes.from_affine(self.dims, self.affine[np.ix_((0, 1, 3), (0, 1, 3))])

    @property
    def itk_reads(self) -> bool:
        """Whether ITK reads the voxels, and without complaint."""
        grid = self.grid
        if type(self.fields) is not nib.Nifti1Header or len(self.dims) not in (grid.dimension, 4):
            return False
        straight = axes.skew(grid) <= _ROUNDING and np.allclose(grid.spacing, self.pixdim, rtol=_ROUNDING)
        slope, offset = (float(self.fields[key]) for key in ("scl_slope", "scl_inter"))
        # a slope of 0 means that voxels are not scaled; ITK then adds the offset all the same
        return bool(straight and not (offset and (slope == 0 or not math.isfinite(slope))))

    @property
    def floating(self) -> bool:
        """Whether the stored voxels are floating-point numbers."""
        return bool(self.fields.get_data_dtype().kind == "f")

    @property
    def packed(self) -> bool:
        """Whether the voxels are compressed."""
        return self.path.suffix.lower() == ".gz"

    @property
    def data_file(self) -> Path:
        """The file that holds the voxels."""
        return self.path.with_suffix(".img") if self.path.suffix.lower() == ".hdr" else self.path

    @property
    def start(self) -> int:
        """The byte at which voxels begin."""
        alone = self.data_file.suffix.lower() != ".img"
        return max(int(self.fields["vox_offset"]), int(self.fields["sizeof_hdr"]) if alone else 0)

    @property
    def end(self) -> int:
        """The byte at which voxels end."""
        return self.start + math.prod(self.dims) * int(self.fields.get_data_dtype().itemsize)


def parse(path: Path, raw: bytes) -> NiftiHeader:
    """Read and check the header of a file from its first 540 bytes.

    Raises:
        BadInput: if it is no NIfTI header, or says nothing that voxels could be placed by.
    """
    order, length = _layout(path, raw)
    fields = _LENGTHS[length](raw[:length], "<" if order == "little" else ">", check=False)
    _check_axes(path, fields)
    _check_type(path, fields)
    return NiftiHeader(path, fields, _affines(path, fields))


def _layout(path: Path, raw: bytes) -> tuple[str, int]:
    told = [(order, int.from_bytes(raw[:4], order)) for order in ("little", "big")]
    magic = _MAGIC.get(raw[344:348]) or _MAGIC.get(raw[4:8])
    for order, length in told:
        if length in _LENGTHS and len(raw) < length and magic in (None, length):
            raise cut_short(path, len(raw), length)
        if length in _LENGTHS and length == magic:
            return order, length
    if magic:
        length = min(length for _, length in told)
        raise BadInput(
            f"{path} has a damaged header: it gives its length as {length} bytes instead of {magic};"
            " copy or download the file again"
        )
    if any(length in _LENGTHS for _, length in told):
        raise BadInput(f"{path} is an Analyze file, which does not tell left from right; convert it to NIfTI")
    raise BadInput(f"{path} is not a NIfTI file, whatever its name says; choose another file")


def _check_axes(path: Path, fields: Any) -> None:
    count = int(fields["dim"][0])
    if not 2 <= count <= 7:
        raise BadInput(f"{path} has {count} axes; an image has 2 to 7: repair the header or choose another file")
    itk_file.check_size(path, tuple(int(n) for n in fields["dim"][1 : 1 + count]))
    sizes = [float(x) for x in fields["pixdim"][1 : 1 + min(3, count)]]
    # pixdim[0] is a sign and may be -1; the others are lengths
    if any(not 0 < size < math.inf for size in sizes):
        told = " x ".join(f"{size:g}" for size in sizes)
        raise BadInput(f"{path} has a voxel spacing (pixdim) of {told}; every one must be above 0: repair the header")


def _check_type(path: Path, fields: Any) -> None:
    try:
        dtype = fields.get_data_dtype()
    except (KeyError, HeaderDataError) as fault:
        raise damaged(path, f"unknown voxel type {int(fields['datatype'])}") from fault
    if dtype.names is not None:
        raise BadInput(f"{path} is a colour image; convert it to grey values")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise BadInput(f"{path} has voxels of type {dtype}; convert them to integers or real numbers of up to 64 bits")


def _affines(path: Path, fields: Any) -> dict[str, Matrix]:
    """Return every declared matrix in LPS mm, the one that counts first."""
    fields = fields.copy()
    fields["pixdim"][0] = -1 if fields["pixdim"][0] < 0 else 1
    try:
        declared = {"sform": fields.get_sform(coded=True)[0], "qform": fields.get_qform(coded=True)[0]}
    except (ValueError, HeaderDataError) as fault:
        raise damaged(path, f"its rotation is none: {fault}") from fault
    if fields["sform_code"] != _SCANNER:
        declared = {name: declared[name] for name in ("qform", "sform")}
    found = {name: _lps(matrix, fields) for name, matrix in declared.items() if matrix is not None}
    for name, matrix in found.items():
        _check_matrix(path, name, matrix)
        break
    return found or {"pixdim": np.diag([*(float(x) * _unit(fields) for x in fields["pixdim"][1:4]), 1.0])}


def _lps(matrix: Matrix, fields: Any) -> Matrix:
    placed: Matrix = _RAS_TO_LPS @ np.asarray(matrix, float)
    placed[:3] *= _unit(fields)
    if int(fields["dim"][0]) == 2:
        # a 2D file need not say how thick it is
        normal = np.cross(placed[:3, 0], placed[:3, 1])
        placed[:3, 2] = normal / (np.linalg.norm(normal) or 1.0)
    return placed


def _check_matrix(path: Path, name: str, matrix: Matrix) -> None:
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if not (np.isfinite(matrix).all() and lengths.all() and abs(np.linalg.det(matrix[:3, :3] / lengths)) > 0):
        raise BadInput(f"{path} has an {name} that puts voxels nowhere (zero spacing or no numbers); repair the header")


def _unit(fields: Any) -> float:
    return _MM.get(int(fields["xyzt_units"]) & 7, 1.0)
