"""The network of uniGradICON (Tian et al. 2024), built from the names and shapes of its published weights.

Residual U-Nets that give displacements, one after the other: the first looks at a quarter of the resolution, the next
at half, the last ones at all of it, each at what the steps before have left (Greer et al. 2021; Tian et al. 2023).
Maps are in the unit cube: 0 and 1 are the outermost voxel centres, whatever the resolution; channels in the order
(k, j, i).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from medseg.errors import BadInput
from medseg.registrars import flow
from medseg.registrars.weight_files import State

_BUFFERS = ("identity_map", "spacing")


class Map(Protocol):
    """From places (1, 3, *spatial) in the unit cube of one image to places in the other's."""

    def __call__(self, places: torch.Tensor) -> torch.Tensor:
        """Map them."""


def built(state: State) -> nn.Module:
    """Build the network of some weights and fill them in; how many steps and channels it has, their names tell.

    Raises:
        BadInput: if they are of another network.
    """
    own = {name: value for name, value in state.items() if not name.endswith(_BUFFERS)}
    network = _step(own, "")
    try:
        network.load_state_dict(own)
    except RuntimeError as fault:
        reason = str(fault).strip().splitlines()[-1].strip()
        raise BadInput(f"these are weights of another network than uniGradICON ({reason})") from fault
    return network.eval()


def _step(state: State, prefix: str) -> nn.Module:
    if any(name.startswith(f"{prefix}netPhi.") for name in state):
        return TwoSteps(_step(state, f"{prefix}netPhi."), _step(state, f"{prefix}netPsi."))
    if f"{prefix}net.downConvs.0.weight" in state:
        return Bent(_unet(state, f"{prefix}net."))
    if any(name.startswith(f"{prefix}net.") for name in state):
        return Halved(_step(state, f"{prefix}net."))
    raise BadInput(f"these are no weights of uniGradICON: nothing is called {prefix}net or {prefix}netPhi")


def _unet(state: State, prefix: str) -> ResidualUNet:
    depth = sum(name.startswith(f"{prefix}downConvs.") and name.endswith(".weight") for name in state)
    try:
        down = [state[f"{prefix}downConvs.{n}.weight"] for n in range(depth)]
        up = [state[f"{prefix}upConvs.{n}.weight"] for n in range(depth)]
    except KeyError as fault:
        raise BadInput(f"these are no weights of uniGradICON: {fault.args[0]} is missing") from fault
    taken = [int(down[0].shape[1]), *(int(one.shape[0]) for one in down)]
    return ResidualUNet(taken, [int(one.shape[1]) for one in up])


class ResidualUNet(nn.Module):
    """Strided convolutions down and up again, each added to what plain averaging or interpolation would give."""

    def __init__(self, down: Sequence[int], up: Sequence[int]) -> None:
        """Take the channels of every resolution on the way down, and those on the way up, finest first."""
        super().__init__()
        levels = range(len(up))
        above = [*up[1:], 0]
        self.downConvs = nn.ModuleList(nn.Conv3d(down[n], down[n + 1], 3, stride=2, padding=1) for n in levels)
        self.upConvs = nn.ModuleList(
            nn.ConvTranspose3d(down[n + 1] + above[n], up[n], 4, stride=2, padding=1) for n in levels
        )
        self.batchNorms = nn.ModuleList(nn.BatchNorm3d(up[n]) for n in levels)
        self.lastConv = nn.Conv3d(down[0] + up[0], 3, 3, padding=1)

    def forward(self, moving: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
        """Return displacements in the unit cube, (1, 3, *spatial)."""
        features, kept = torch.cat([moving, fixed], 1), []
        for halving in self.downConvs:
            kept.append(features)
            new = halving(functional.leaky_relu(features))
            features = new + _with_channels(functional.avg_pool3d(features, 2, ceil_mode=True), new.shape[1])
        for number in reversed(range(len(self.upConvs))):
            new = self.upConvs[number](functional.leaky_relu(features))
            plain = _with_channels(features, new.shape[1])
            features = new + functional.interpolate(plain, scale_factor=2, mode="trilinear", align_corners=False)
            k, j, i = kept[number].shape[2:]
            features = torch.cat([self.batchNorms[number](features)[:, :, :k, :j, :i], kept[number]], 1)
        displacement: torch.Tensor = self.lastConv(features) / 10
        return displacement


class Bent(nn.Module):
    """A U-Net whose displacements, interpolated linearly, are a map."""

    def __init__(self, net: nn.Module) -> None:
        """Take the U-Net."""
        super().__init__()
        self.net = net

    def forward(self, moving: torch.Tensor, fixed: torch.Tensor) -> Map:
        """Return the map from the fixed image's places to the moving image's."""
        displacement: torch.Tensor = self.net(moving, fixed)
        return lambda places: places + read(displacement, places)


class Halved(nn.Module):
    """A step that looks at both images at half the resolution."""

    def __init__(self, net: nn.Module) -> None:
        """Take the step."""
        super().__init__()
        self.net = net

    def forward(self, moving: torch.Tensor, fixed: torch.Tensor) -> Map:
        """Return the map from the fixed image's places to the moving image's."""
        found: Map = self.net(*(functional.avg_pool3d(image, 2, ceil_mode=True) for image in (moving, fixed)))
        return found


class TwoSteps(nn.Module):
    """A step, and another one that sees the moving image as the first has moved it."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        """Take both steps."""
        super().__init__()
        self.netPhi, self.netPsi = first, second

    def forward(self, moving: torch.Tensor, fixed: torch.Tensor) -> Map:
        """Return the map from the fixed image's places to the moving image's."""
        first: Map = self.netPhi(moving, fixed)
        second: Map = self.netPsi(read(moving, first(unit_places(moving))), fixed)
        return lambda places: first(second(places))


def read(image: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Interpolate an image (1, channels, k, j, i) at places (1, 3, *spatial); the edge is repeated outside."""
    return flow.read(image, 2 * torch.movedim(places.flip(1), 1, -1) - 1)


def unit_places(image: torch.Tensor) -> torch.Tensor:
    """Return the places of an image's own voxels, (1, 3, k, j, i)."""
    axes = [torch.linspace(0, 1, n, dtype=image.dtype, device=image.device) for n in image.shape[2:]]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def _with_channels(features: torch.Tensor, count: int) -> torch.Tensor:
    """Leave out the last channels, or put channels of zeros before the first."""
    missing = max(0, count - features.shape[1])
    return functional.pad(features[:, :count], (0, 0, 0, 0, 0, 0, missing, 0))
