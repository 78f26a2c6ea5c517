"""uniGradICON (Tian et al. 2024), a network for any part of the body, whose weights are read from the user's disk.

The official weights were not run by the authors of this file; layout and arithmetic are those of the published source.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torch

from medseg.errors import BadInput
from medseg.geometry import Geometry
from medseg.progress import Progress
from medseg.registrars import checks, fields, gradicon_network, weight_files
from medseg.registrars.around_network import Around, Both, Images
from medseg.registrars.matrices import Matrix, transform_of
from medseg.registration import NO_GUIDANCE, Guidance, warp

_EDGE = 175
_HOUNSFIELD = (-1000.0, 1000.0)
_AIR = -500.0
_BRIGHT = 0.99


@dataclass(frozen=True)
class UniGradIconRegistrar:
    """An `InvertibleRegistrar`: linear, then the network, then, where it is wanted, instance optimisation.

    The network may fold, and its two directions are inverse to each other but nearly: look at both in the review. It
    sees the whole fixed image, on as many voxels along every axis, and the moving image where the linear part puts it
    (the published program has no linear part and lays both images' corners on each other).

    Attributes:
        weights: the file, of uniGradICON or multiGradICON.
        around: what comes before the network and after it.
        edge: voxels along each axis of what the network sees.
    """

    weights: Path
    around: Around
    edge: int = _EDGE

    def register(
        self, fixed: sitk.Image, moving: sitk.Image, progress: Progress, guidance: Guidance = NO_GUIDANCE
    ) -> sitk.Transform:
        """See `Registrar.register`."""
        return self.register_both(fixed, moving, progress, guidance)[0]

    def register_both(
        self, fixed: sitk.Image, moving: sitk.Image, progress: Progress, guidance: Guidance = NO_GUIDANCE
    ) -> Both:
        """See `InvertibleRegistrar.register_both`."""
        network = load(self.weights)
        images = checks.prepared(fixed, moving, guidance)
        return self.around.register_both(partial(self._by_network, network), images, guidance, progress)

    def _by_network(self, network: torch.nn.Module, images: Images, affine: Matrix) -> Both:
        device, grid = torch.device(self.around.device), spanning(images[0], self.edge)
        lined_up = sitk.Transform(3, sitk.sitkIdentity), transform_of(affine)
        fixed, moving = (_seen(*one, grid).to(device) for one in zip(images, lined_up, strict=True))
        with torch.inference_mode():
            there = _in_mm(network.to(device)(moving, fixed), fixed, grid)
            back = _in_mm(network(fixed, moving), fixed, grid)
        return fields.forward(there, grid, affine), fields.backward(back, grid, affine)


def load(path: Path) -> torch.nn.Module:
    """Read weights: the state dictionary that is published (`.trch`), or the same as safetensors.

    Raises:
        BadInput: if the file is missing, can run code, or holds other weights.
    """
    try:
        return gradicon_network.built(weight_files.read(path))
    except BadInput as fault:
        if str(path) in str(fault):
            raise
        raise BadInput(f"{path}: {fault}") from fault


def spanning(image: sitk.Image, edge: int) -> Geometry:
    """Return a grid of `edge` voxels along each axis over the whole of an image, outer faces on outer faces."""
    own = Geometry.of(image)
    steps = np.asarray(own.size) / edge
    spacing = tuple(float(x) for x in steps * own.spacing)
    origin = own.point([float(x) for x in steps / 2 - 0.5])
    return Geometry((edge,) * own.dimension, spacing, tuple(map(float, origin)), own.direction)


def normalised(voxels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return voxels as the network knows them: CT from -1000 to 1000 HU, others up to the 99th percentile, as 0 to 1.

    An image with values below -500 is taken for CT.
    """
    low, high = float(voxels.min()), float(np.quantile(voxels, _BRIGHT, method="lower"))
    if low < _AIR:
        low, high = _HOUNSFIELD
    if high <= low:
        high = float(voxels.max())
    return np.asarray((voxels.clip(low, high) - low) / (high - low), np.float32)


def _seen(image: sitk.Image, transform: sitk.Transform, grid: Geometry) -> torch.Tensor:
    """Read an image on the network's grid, (1, 1, k, j, i); what lies outside of it is 0."""
    bright = Geometry.of(image).image(normalised(sitk.GetArrayFromImage(image)))
    return torch.from_numpy(sitk.GetArrayFromImage(warp(bright, transform, grid)))[None, None].float()


def _in_mm(found: gradicon_network.Map, image: torch.Tensor, grid: Geometry) -> torch.Tensor:
    """Return a map as displacements in mm along the grid's axes, channels (i, j, k)."""
    own = gradicon_network.unit_places(image)
    scale = [(n - 1) * s for n, s in zip(grid.size, grid.spacing, strict=True)]
    field = (found(own) - own).flip(1)
    return field * field.new_tensor(scale).view(1, -1, 1, 1, 1)
