"""The networks of our own training that register pairs, by name, and what they say of two images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from medseg.errors import BadInput
from medseg.geometry import Geometry
from medseg.registrars.halves import Halves, velocity
from medseg.registrars.starts import moments
from medseg.registrars.symnet import SymNet
from medseg.registrars.velocity_unet import VelocityUNet
from medseg.registrars.volumes import Volume
from medseg.registration import warp

NETWORKS: Mapping[str, type[SymNet] | type[VelocityUNet]] = {"SymNet": SymNet, "VelocityUNet": VelocityUNet}
_TOWARDS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
_RIM = 2
_BLUR = 0.45  # of the new spacing, as `volumes.Volume.coarse` does


def build(name: str, arguments: Mapping[str, Any]) -> SymNet | VelocityUNet:
    """Build a network with first weights drawn from the global generator.

    Raises:
        BadInput: if there is none of this name, or it does not take these arguments.
    """
    kind = named(name)
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as fault:
        raise BadInput(f"registration network {name} does not take {dict(arguments)}: {fault}") from fault


def named(name: str) -> type[SymNet] | type[VelocityUNet]:
    """Return a class of networks.

    Raises:
        BadInput: if there is none of this name.
    """
    if name not in NETWORKS:
        raise BadInput(f"there is no registration network {name!r}; choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def halves(network: torch.nn.Module, first: torch.Tensor, second: torch.Tensor) -> Halves:
    """Run a network of this file on images (1, 1, i, j, k); velocities are in voxels."""
    scale = float(getattr(network, "voxels_a_unit", 1.0))
    one, other = network(first, second)
    return Halves(velocity(one.float(), scale, _RIM), velocity(other.float(), scale, _RIM))


def frame(image: sitk.Image, size: Sequence[int], spacing: Sequence[float], orientation: str = "") -> Geometry:
    """Return the grid of a network about the centre of mass of an image; its axes point to `orientation` (LPS)."""
    axes = np.array([_TOWARDS[letter] for letter in orientation or "LPS"]).T
    origin = moments(image).centre - axes @ ((np.asarray(size) - 1) / 2 * np.asarray(spacing))
    return Geometry(tuple(size), tuple(spacing), tuple(map(float, origin)), tuple(map(float, axes.ravel())))


def seen(image: sitk.Image, transform: sitk.Transform, grid: Geometry) -> torch.Tensor:
    """Read an image (float32) at the transformed voxels of a grid, (1, 1, i, j, k).

    It is blurred to what the grid can hold; what lies outside of it is as its darkest voxel; the 0.5th to 99.5th
    percentile become 0 to 1.
    """
    sigma = [max(_BLUR * wide, 1e-3) for wide in grid.spacing]
    coarse = max(grid.spacing) > 1.05 * max(image.GetSpacing())
    smooth = sitk.SmoothingRecursiveGaussian(image, sigma) if coarse else image
    dark = smooth - float(sitk.GetArrayViewFromImage(smooth).min())
    return Volume.of(warp(dark, transform, grid), torch.device("cpu")).voxels.permute(0, 1, 4, 3, 2).contiguous()
