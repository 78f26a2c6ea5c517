"""Our own registration engines in PyTorch: linear on coarse grids, and diffeomorphic by a stationary velocity field."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
import torch

from medseg.errors import Notice
from medseg.geometry import Geometry
from medseg.inversion import inverse
from medseg.progress import Progress, part
from medseg.registrars import checks, fields, losses, starts, torch_linear, velocity_field
from medseg.registrars.matrices import Matrix, centre_of, matrix_of, transform_of
from medseg.registrars.sitk_linear import begin
from medseg.registrars.velocity_field import Level, Plan, Velocity
from medseg.registrars.volumes import Volume, foreground
from medseg.registration import NO_GUIDANCE, Guidance, warp

# chosen on images made from the label maps that may be trained on, not on any case used for evaluation
FAST = (
    Level(16.0, 16.0, 60, 2.0, 24.0),
    Level(8.0, 16.0, 60, 1.2, 9.0),
    Level(4.0, 8.0, 30, 0.7, 3.0),
    Level(2.0, 4.0, 15, 0.3, 3.0),
)
ACCURATE = (*FAST, Level(1.0, 2.0, 25, 0.15, 2.0))
PRESETS = {"fast": FAST, "accurate": ACCURATE}
STIFFNESS, BENDING = 0.3, 0.3
LINEAR = (*torch_linear.KINDS, "none")
Weights = tuple[Volume | None, Volume | None]
"""Where the fixed and the moving image count; None for everywhere."""
_MARGIN_MM = 12.0
_UNMASKED = ("lncc", "mind")
LINEAR_MEASURE = {"lncc": "ncc", "ncc": "ncc", "mi": "mi", "mind": "mi"}


@dataclass(frozen=True)
class TorchLinear:
    """A `Registrar`: rigid, similarity or affine on coarse grids, seconds where SimpleITK takes minutes.

    Attributes:
        kind: "rigid", "similarity" or "affine".
        measure: "ncc" for the same modality, "mi" for any.
        start: where to begin, see `starts.candidates`.
        turns: random starts.
        seed: of those.
        device: where to compute, e.g. "cpu" or "cuda:0".
    """

    kind: str = "affine"
    measure: str = "ncc"
    start: str = "auto"
    turns: int = 8
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        checks.one_of(self.kind, torch_linear.KINDS, "kind of linear transform")
        checks.one_of(self.measure, tuple(losses.LOSSES), "measure")
        checks.one_of(self.start, starts.STARTS, "start")

    def register(
        self, fixed: sitk.Image, moving: sitk.Image, progress: Progress, guidance: Guidance = NO_GUIDANCE
    ) -> sitk.Transform:
        """See `Registrar.register`."""
        images = checks.prepared(fixed, moving, guidance)
        device = torch.device(self.device)
        weights = _weights(guidance, images, device)
        volumes = [Volume.of(image, device) for image in images]
        if weights[1] is not None and self.measure in _UNMASKED:
            warnings.warn(f"the measure {self.measure} does not look at the moving mask here", Notice, stacklevel=2)
        return transform_of(self.matrix(images, volumes, weights, progress, guidance), centre_of(fixed))

    def matrix(
        self,
        images: Sequence[sitk.Image],
        volumes: Sequence[Volume],
        weights: Weights,
        progress: Progress,
        guidance: Guidance,
    ) -> Matrix:
        """Return the matrix for images that were checked and scaled already."""
        found = begin(images[0], images[1], self.start, self.turns, self.seed, guidance)
        problem = torch_linear.Search(volumes[0], volumes[1], weights[0], self.kind, self.measure, weights[1])
        return torch_linear.search(problem, found, progress)[0]


@dataclass(frozen=True)
class VelocityField:
    """An `InvertibleRegistrar`: linear, then a stationary velocity field; free of folds.

    Attributes:
        preset: "fast" (16, 8, 4, 2 mm) or "accurate" (and 1 mm).
        measure: "lncc" (window of 9 voxels), "ncc", "mi", or "mind" (CT to MR).
        linear: what comes before: "rigid", "similarity", "affine" or "none" (trust the headers or the initial
            transform).
        symmetric: compare the images both ways, so that swapping them gives (nearly) the inverse.
        start, turns, seed: of the linear part.
        device: where to compute, e.g. "cpu" or "cuda:0".
    """

    preset: str = "fast"
    measure: str = "lncc"
    linear: str = "affine"
    symmetric: bool = False
    start: str = "auto"
    turns: int = 8
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        checks.one_of(self.preset, tuple(PRESETS), "preset")
        checks.one_of(self.measure, tuple(losses.LOSSES), "measure")
        checks.one_of(self.linear, LINEAR, "linear part")
        checks.one_of(self.start, starts.STARTS, "start")

    def register(
        self, fixed: sitk.Image, moving: sitk.Image, progress: Progress, guidance: Guidance = NO_GUIDANCE
    ) -> sitk.Transform:
        """See `Registrar.register`."""
        images = checks.prepared(fixed, moving, guidance)
        bent = _bent(guidance)
        if bent is None:
            return self._found(images, guidance, True, progress)[0]
        return sitk.CompositeTransform([bent, self.refine(bent, images, guidance, progress)[0]])

    def register_both(
        self, fixed: sitk.Image, moving: sitk.Image, progress: Progress, guidance: Guidance = NO_GUIDANCE
    ) -> tuple[sitk.Transform, sitk.Transform]:
        """See `InvertibleRegistrar.register_both`.

        A bent initial transform is inverted by iteration, to a small fraction of a voxel.

        Raises:
            BadInput: if the initial transform folds, so that there is no way back.
        """
        images = checks.prepared(fixed, moving, guidance)
        bent = _bent(guidance)
        if bent is None:
            return self._found(images, guidance, True, progress)
        back = inverse(bent, Geometry.of(moving))
        found = self.refine(bent, images, guidance, progress)
        return sitk.CompositeTransform([bent, found[0]]), sitk.CompositeTransform([found[1], back])

    def refine(
        self, bent: sitk.Transform, images: tuple[sitk.Image, sitk.Image], guidance: Guidance, progress: Progress
    ) -> tuple[sitk.Transform, sitk.Transform]:
        """Return what is still to be done, and its inverse, once the moving image was read through a bent transform.

        Args:
            bent: from fixed to moving points, LPS mm; what is found comes before it.
            images: fixed and moving, checked already.
            guidance: its masks are used.
            progress: told after each step.
        """
        grid = Geometry.of(images[0])
        mask = checks.mask_on(guidance.moving_mask, images[1], "the moving image")
        there = None if mask is None else warp(mask, bent, grid, sitk.sitkNearestNeighbor)
        read = images[0], warp(images[1], bent, grid)
        return self._found(read, replace(guidance, initial=None, moving_mask=there), False, progress)

    def _found(
        self, images: tuple[sitk.Image, sitk.Image], guidance: Guidance, move: bool, progress: Progress
    ) -> tuple[sitk.Transform, sitk.Transform]:
        device = torch.device(self.device)
        weights = _weights(guidance, images, device)
        volumes = [Volume.of(image, device) for image in images]
        affine = self._affine(images, volumes, weights, guidance, move, part(progress, 0.0, 0.15))
        plan = Plan(PRESETS[self.preset], self.measure, STIFFNESS, BENDING, self.symmetric)
        box = foreground(volumes[0], _MARGIN_MM)
        problem = velocity_field.Problem(volumes[0], volumes[1], weights[0], affine, box, weights[1])
        velocity = velocity_field.optimise(problem, plan, part(progress, 0.15, 0.95))
        both = _transforms(velocity, plan.levels[-1].spacing, affine)
        progress(1.0, "done")
        return both

    def _affine(  # noqa: PLR0913, PLR0917
        self,
        images: Sequence[sitk.Image],
        volumes: Sequence[Volume],
        weights: Weights,
        guidance: Guidance,
        move: bool,
        progress: Progress,
    ) -> Matrix:
        if self.linear == "none" or not move:
            still = np.eye(images[0].GetDimension() + 1)
            return matrix_of(guidance.initial) if guidance.initial is not None else still
        measure = LINEAR_MEASURE[self.measure]
        engine = TorchLinear(self.linear, measure, self.start, self.turns, self.seed, self.device)
        return engine.matrix(images, volumes, weights, progress, guidance)


def _bent(guidance: Guidance) -> sitk.Transform | None:
    start = guidance.initial
    return None if start is None or start.IsLinear() else start


def _weights(guidance: Guidance, images: Sequence[sitk.Image], device: torch.device) -> Weights:
    given = (guidance.fixed_mask, images[0], "the fixed image"), (guidance.moving_mask, images[1], "the moving image")
    fixed, moving = (checks.mask_on(*one) for one in given)
    found = (None if mask is None else Volume.of(mask, device, scale=False) for mask in (fixed, moving))
    return next(found), next(found)


def _transforms(velocity: Velocity, spacing: float, affine: Matrix) -> tuple[sitk.Transform, sitk.Transform]:
    there, back, grid = fields.unfolded(fields.still_at_edge(velocity), spacing)
    return fields.forward(there, grid, affine), fields.backward(back, grid, affine)
