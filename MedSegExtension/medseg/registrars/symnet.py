"""SYMNet (Mok and Chung 2020, CVPR): a network that gives both halves of a symmetric diffeomorphism at once.

Its published weights are read from the user's disk. They are for T1 MR of skull-stripped brains.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch import nn

from medseg.errors import BadInput
from medseg.geometry import Geometry
from medseg.progress import Progress
from medseg.registrars import checks, fields, weight_files
from medseg.registrars.around_network import Around, Both, Images
from medseg.registrars.halves import Halves, displacements, velocity
from medseg.registrars.matrices import Matrix, transform_of
from medseg.registrars.starts import moments
from medseg.registration import NO_GUIDANCE, Guidance, warp

_BRIGHT = 0.43
"""What the 99th percentile of a brain was in the images that the published weights were trained on."""
_FIRST = "eninput.0.weight"
_STILL = 1e-5


class SymNet(nn.Module):
    """A U-Net of four halvings over both images, with two heads of velocities in [-1, 1].

    Images are (1, 1, *spatial), each edge a multiple of 16; so are the two results, with 3 channels, last axis first.
    The names of the layers are those of the published weights.
    """

    voxels_a_unit = 100.0
    multiple = 16

    def __init__(self, width: int = 7) -> None:
        """Take the channels of the first layer."""
        super().__init__()
        w = width
        down = ((2, w), (w, w), (w, 2 * w), (2 * w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w), (4 * w, 8 * w),
                (8 * w, 8 * w), (8 * w, 16 * w), (16 * w, 8 * w))  # fmt: skip
        up = ((16, 8), (8, 4), (8, 4), (4, 2), (4, 4), (4, 2), (3, 2), (2, 2))
        for number, (taken, given) in enumerate(down):
            stride = 2 if number in (2, 4, 6, 8) else 1
            self.add_module(f"ec{number}" if number else "eninput", _block(taken, given, stride))
        for number, (taken, given) in enumerate(up, start=1):
            self.add_module(f"dc{number}", _block(taken * w, given * w))
        for number, channels in enumerate((8 * w, 4 * w, 2 * w, 2 * w), start=1):
            self.add_module(f"up{number}", nn.Sequential(nn.ConvTranspose3d(channels, channels, 2, 2), nn.ReLU()))
        for name in ("dc9", "dc10"):
            head = nn.Conv3d(2 * w, 3, 5, padding=2, bias=False)
            nn.init.normal_(head.weight, std=_STILL)  # a training begins at no deformation
            self.add_module(name, nn.Sequential(head, nn.Softsign()))

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the velocity from the first image and that from the second, half-way to each other."""
        features = self._through(torch.cat([first, second], 1), "eninput", "ec1")
        kept = [features]
        for number in (2, 4, 6):
            features = self._through(features, f"ec{number}", f"ec{number + 1}")
            kept.append(features)
        features = self._through(features, "ec8", "ec9")
        for number, beside in enumerate(reversed(kept), start=1):
            features = torch.cat([self._through(features, f"up{number}"), beside], 1)
            features = self._through(features, f"dc{2 * number - 1}", f"dc{2 * number}")
        return self._through(features, "dc9"), self._through(features, "dc10")

    def _through(self, features: torch.Tensor, *names: str) -> torch.Tensor:
        for name in names:
            features = self.get_submodule(name)(features)
        return features


def _block(taken: int, given: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv3d(taken, given, 3, stride, padding=1), nn.ReLU())


def load(path: Path) -> SymNet:
    """Read weights, a state dictionary in PyTorch's format or safetensors.

    Raises:
        BadInput: if the file is missing, can run code, or holds other weights.
    """
    state = weight_files.read(path)
    if _FIRST not in state or state[_FIRST].ndim != 5:
        raise BadInput(f"{path} holds no weights of SYMNet: it has no {_FIRST}")
    network = SymNet(int(state[_FIRST].shape[0]))
    weight_files.fill(network, state, path, "SYMNet")
    return network


@dataclass(frozen=True)
class SymNetRegistrar:
    """An `InvertibleRegistrar`: affine, then SYMNet, then, where it is wanted, instance optimisation.

    Attributes:
        weights: the file.
        refine: optimise a velocity field afterwards, as "svf-fast" does, beginning at what the network found.
        size: of the grid that the network looks at, about the fixed brain, each a multiple of 16; axes L, I, A.
        spacing: of that grid, mm.
        turns, seed: random starts of the affine part.
        device: where to compute, e.g. "cpu" or "cuda:0".
    """

    weights: Path
    refine: bool = False
    size: tuple[int, int, int] = (160, 192, 224)
    spacing: float = 1.0
    turns: int = 8
    seed: int = 0
    device: str = "cpu"

    def register(
        self, fixed: sitk.Image, moving: sitk.Image, progress: Progress, guidance: Guidance = NO_GUIDANCE
    ) -> sitk.Transform:
        """See `Registrar.register`."""
        return self.register_both(fixed, moving, progress, guidance)[0]

    def register_both(
        self, fixed: sitk.Image, moving: sitk.Image, progress: Progress, guidance: Guidance = NO_GUIDANCE
    ) -> Both:
        """See `InvertibleRegistrar.register_both`.

        Raises:
            BadInput: also if the images are pictures, or the initial transform is not linear.
        """
        network = load(self.weights)
        images = checks.prepared(fixed, moving, guidance)
        steps = Around("SYMNet", self.refine, turns=self.turns, seed=self.seed, device=self.device)
        return steps.register_both(partial(self._by_network, network), images, guidance, progress)

    def _by_network(self, network: SymNet, images: Images, affine: Matrix) -> Both:
        device, grid = torch.device(self.device), self._grid(images[0])
        still = sitk.Transform(3, sitk.sitkIdentity)
        seen = [
            _seen(image, one, grid).to(device) for image, one in zip(images, (still, transform_of(affine)), strict=True)
        ]
        with torch.inference_mode():
            scale = network.voxels_a_unit * self.spacing
            found = displacements(Halves(*(velocity(one, scale) for one in network.to(device)(*seen))), grid.spacing)
        return fields.forward(found.there, grid, affine), fields.backward(found.back, grid, affine)

    def _grid(self, fixed: sitk.Image) -> Geometry:
        """Return the network's grid about the brain's centre of mass: the first axis to L, then I, then A."""
        axes = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])
        middle = axes @ ((np.array(self.size) - 1) / 2 * self.spacing)
        origin = moments(fixed).centre - middle
        spacing = (self.spacing,) * 3
        return Geometry(self.size, spacing, tuple(float(x) for x in origin), tuple(axes.ravel().tolist()))


def _seen(image: sitk.Image, transform: sitk.Transform, grid: Geometry) -> torch.Tensor:
    """Read an image on the network's grid, (1, 1, i, j, k), as bright as the network knows brains."""
    array = sitk.GetArrayFromImage(warp(image, transform, grid)).transpose(2, 1, 0)
    array = array - array.min()
    bright = float(np.percentile(array[array > 0], 99)) if np.any(array > 0) else 1.0
    return torch.from_numpy(np.ascontiguousarray(array / bright * _BRIGHT))[None, None].float()
