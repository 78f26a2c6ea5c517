"""Registration by a network of our own training: linear, then the network, then, where wanted, optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import SimpleITK as sitk
import torch

from medseg.errors import BadInput, Failed
from medseg.geometry import Geometry
from medseg.model_card import ModelCard
from medseg.progress import Progress
from medseg.registrars import banded, checks, fields, flow, pair_networks, weight_files
from medseg.registrars.around_network import Around, Both, Images
from medseg.registrars.halves import Displacements, Halves, displacements
from medseg.registrars.matrices import Matrix, transform_of
from medseg.registration import NO_GUIDANCE, Guidance

_LEAST_JACOBIAN = 0.02
_ROUNDS = 8


@dataclass(frozen=True, eq=False)
class LearnedRegistrar:
    """An `InvertibleRegistrar`: what `around` says, with a network of `pair_networks` in the middle; free of folds.

    Attributes:
        card: names the network, its arguments, its grid (`inference.window`) and the spacing of that
            and its axes (`preprocessing.spacing`, mm, and `preprocessing.orientation`).
        weights: the checked file.
        around: what comes before the network and after it.
    """

    card: ModelCard
    weights: Path
    around: Around

    def __post_init__(self) -> None:
        if self.card.engine != "registration":
            raise BadInput(f"model {self.card.name} registers nothing (its engine is {self.card.engine})")
        if len(self.card.inference.window) != 3:
            raise BadInput(f"model {self.card.name} names no grid of three numbers in inference/window")

    def register(
        self, fixed: sitk.Image, moving: sitk.Image, progress: Progress, guidance: Guidance = NO_GUIDANCE
    ) -> sitk.Transform:
        """See `Registrar.register`."""
        return self.register_both(fixed, moving, progress, guidance)[0]

    def register_both(
        self, fixed: sitk.Image, moving: sitk.Image, progress: Progress, guidance: Guidance = NO_GUIDANCE
    ) -> Both:
        """See `InvertibleRegistrar.register_both`."""
        network = loaded(self.card, self.weights)
        images = checks.prepared(fixed, moving, guidance)
        return self.around.register_both(partial(self._by_network, network), images, guidance, progress)

    def _by_network(self, network: torch.nn.Module, images: Images, affine: Matrix) -> Both:
        device = torch.device(self.around.device)
        wanted = self.card.preprocessing
        spacing = wanted.spacing or (1.0, 1.0, 1.0)
        grid = pair_networks.frame(images[0], self.card.inference.window, spacing, wanted.orientation)
        lined_up = sitk.Transform(3, sitk.sitkIdentity), transform_of(affine)
        read = (pair_networks.seen(*one, grid).to(device) for one in zip(images, lined_up, strict=True))
        with torch.inference_mode():
            found = unfolded(pair_networks.halves(network.to(device), *read))
        there, back = (_in_mm(field, grid) for field in found)
        return fields.forward(there, grid, affine), fields.backward(back, grid, affine)


def loaded(card: ModelCard, path: Path) -> torch.nn.Module:
    """Build the network of a card and fill in its weights.

    Raises:
        BadInput: if there is no such network, or the weights are of another one.
    """
    name = str(card.network.get("class", ""))
    network = pair_networks.build(name, card.network.get("arguments", {}))
    return weight_files.fill(network, weight_files.read(path), path, name)


def unfolded(halves: Halves) -> Displacements:
    """Return the displacements in voxels; the velocities are blurred until nothing folds.

    Raises:
        Failed: if blurring does not help.
    """
    voxels = (1.0, 1.0, 1.0)
    for _ in range(_ROUNDS):
        found = displacements(halves, voxels)
        if all(float(flow.least_jacobian(field, voxels).amin()) > _LEAST_JACOBIAN for field in found):
            return found
        halves = Halves(*(banded.smooth(values, voxels) for values in halves))
    raise Failed("what the network found folds and blurring did not undo it; is it trained for such images?")


def _in_mm(field: torch.Tensor, grid: Geometry) -> torch.Tensor:
    return field * field.new_tensor(grid.spacing).view(1, -1, 1, 1, 1)
