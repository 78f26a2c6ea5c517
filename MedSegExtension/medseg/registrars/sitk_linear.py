"""Rigid, similarity and affine registration by SimpleITK, from many starts and at three resolutions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from medseg.errors import BadInput, Notice
from medseg.geometry import Geometry
from medseg.progress import Progress, part
from medseg.registrars import checks, starts
from medseg.registrars.matrices import Matrix, centre_of, matrix_of, transform_of
from medseg.registrars.watching import watched
from medseg.registration import NO_GUIDANCE, Guidance, overlap

KINDS = ("rigid", "similarity", "affine")
MEASURES = ("mattes", "ncc", "mse")
_BINS = 32
_ENOUGH_SAMPLES = 60_000


@dataclass(frozen=True)
class Stage:
    """One resolution: spacing in mm, iterations, longest step in mm, how many starts are followed."""

    spacing: float
    iterations: int
    step: float
    followed: int


# of several optima at 8 mm a wrong one, with less overlap, may be the best by a hair; at 4 mm it is not
STAGES = (Stage(8.0, 60, 4.0, 4), Stage(4.0, 60, 1.0, 3), Stage(2.0, 40, 0.3, 1))


@dataclass(frozen=True)
class SitkLinear:
    """A `Registrar`.

    Attributes:
        kind: "rigid", "similarity" or "affine".
        measure: "mattes" (mutual information, Mattes et al. 2003: any modality), "ncc" or "mse" (same modality).
        start: where to begin, see `starts.candidates`; an initial transform in the guidance goes before it.
        turns: random starts, against local optima.
        seed: of those and of the voxels that are sampled.
    """

    kind: str = "rigid"
    measure: str = "mattes"
    start: str = "auto"
    turns: int = 8
    seed: int = 0
    stages: Sequence[Stage] = field(default=STAGES)

    def __post_init__(self) -> None:
        checks.one_of(self.kind, KINDS, "kind of linear transform")
        checks.one_of(self.measure, MEASURES, "measure")
        checks.one_of(self.start, starts.STARTS, "start")

    def register(
        self, fixed: sitk.Image, moving: sitk.Image, progress: Progress, guidance: Guidance = NO_GUIDANCE
    ) -> sitk.Transform:
        """See `Registrar.register`."""
        images = checks.prepared(fixed, moving, guidance)
        masks = (
            checks.mask_on(guidance.fixed_mask, fixed, "the fixed image"),
            checks.mask_on(guidance.moving_mask, moving, "the moving image"),
        )
        found = begin(*images, self.start, self.turns, self.seed, guidance)
        steps = sum(min(stage.followed, len(found)) for stage in self.stages)
        done = 0
        for stage in self.stages:
            level = _Level.of(images, masks, self, stage)
            ranked = sorted(((level.value(m), n) for n, m in enumerate(found)))[: stage.followed]
            _check_any(ranked)
            results = []
            for _, n in ranked:
                results.append(level.follow(found[n], part(progress, done / steps, (done + 1) / steps)))
                done += 1
            found = [matrix for _, matrix in sorted(results, key=lambda pair: pair[0])]
        return transform_of(found[0], centre_of(fixed))


def begin(  # noqa: PLR0913, PLR0917
    fixed: sitk.Image, moving: sitk.Image, start: str, turns: int, seed: int, guidance: Guidance
) -> list[Matrix]:
    """Return the starts, that of the guidance alone where it has a linear one; says so where the images lie apart.

    Raises:
        BadInput: if they do not overlap and `start` is "as-is".
    """
    if guidance.initial is not None:
        return [matrix_of(guidance.initial)]
    still = sitk.Transform(fixed.GetDimension(), sitk.sitkIdentity)
    if not overlap(Geometry.of(fixed), Geometry.of(moving), still):
        if start == "as-is":
            raise BadInput("the images do not overlap in space; give an initial transform, or another start than as-is")
        text = "the images do not overlap where their headers put them; their centres were laid on one another"
        warnings.warn(text, Notice, stacklevel=4)
    return starts.candidates(fixed, moving, start, turns, seed)


def _check_any(ranked: Sequence[tuple[float, int]]) -> None:
    if not ranked or math.isinf(ranked[0][0]):
        raise BadInput("no start lays the images (or their masks) on one another; give an initial transform")


@dataclass(frozen=True, eq=False)
class _Level:
    fixed: sitk.Image
    moving: sitk.Image
    masks: tuple[sitk.Image | None, sitk.Image | None]
    engine: SitkLinear
    stage: Stage

    @classmethod
    def of(
        cls,
        images: tuple[sitk.Image, sitk.Image],
        masks: tuple[sitk.Image | None, sitk.Image | None],
        engine: SitkLinear,
        stage: Stage,
    ) -> _Level:
        fixed, moving = (_coarse(image, stage.spacing) for image in images)
        return cls(fixed, moving, masks, engine, stage)

    def value(self, matrix: Matrix) -> float:
        """Return the measure at a start, infinite where the images do not meet."""
        try:
            return float(self._method(self._transform(matrix)).MetricEvaluate(self.fixed, self.moving))
        except RuntimeError:  # ITK's way to say that too few samples lie in the moving image
            return math.inf

    def follow(self, matrix: Matrix, progress: Progress) -> tuple[float, Matrix]:
        """Optimise from one start; a start from which the images are lost has an infinite measure."""
        transform = self._transform(matrix)
        method = self._method(transform)
        text = f"{self.engine.kind} registration at {self.stage.spacing:g} mm"
        try:
            with watched(method, progress, self.stage.iterations, text):
                found = method.Execute(self.fixed, self.moving)
        except RuntimeError:
            return math.inf, matrix
        return float(method.GetMetricValue()), matrix_of(found)

    def _method(self, transform: sitk.Transform) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        {
            "mattes": lambda: method.SetMetricAsMattesMutualInformation(_BINS),
            "ncc": method.SetMetricAsCorrelation,
            "mse": method.SetMetricAsMeanSquares,
        }[self.engine.measure]()
        share = min(1.0, _ENOUGH_SAMPLES / self.fixed.GetNumberOfPixels())
        if share < 1:
            method.SetMetricSamplingStrategy(method.RANDOM)
            method.SetMetricSamplingPercentage(share, self.engine.seed + 1)  # 0 would be the clock
        for mask, put in zip(self.masks, (method.SetMetricFixedMask, method.SetMetricMovingMask), strict=True):
            if mask is not None:
                put(mask)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(self.stage.step, 1e-3, self.stage.iterations, 0.6, 1e-8)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(transform, inPlace=False)
        return method

    def _transform(self, matrix: Matrix) -> sitk.Transform:
        dimension, kind = self.fixed.GetDimension(), self.engine.kind
        centre = centre_of(self.fixed)
        if kind == "affine":
            return transform_of(matrix, centre)
        made = {
            (3, "rigid"): sitk.VersorRigid3DTransform,
            (2, "rigid"): sitk.Euler2DTransform,
            (3, "similarity"): sitk.Similarity3DTransform,
            (2, "similarity"): sitk.Similarity2DTransform,
        }[dimension, kind]()
        linear = _turn(matrix[:-1, :-1], kind == "similarity")
        made.SetCenter([float(x) for x in centre])
        made.SetMatrix([float(x) for x in linear.ravel()], 1e-6) if dimension == 3 else _set_2d(made, linear)
        shift = matrix[:-1, :-1] @ centre + matrix[:-1, -1] - centre
        made.SetTranslation([float(x) for x in shift])
        return made


def _set_2d(transform: sitk.Transform, linear: Matrix) -> None:
    transform.SetAngle(float(np.arctan2(linear[1, 0], linear[0, 0])))
    if isinstance(transform, sitk.Similarity2DTransform):
        transform.SetScale(float(np.sqrt(abs(np.linalg.det(linear)))))


def _turn(linear: Matrix, scaled: bool) -> Matrix:
    """Return the rotation nearest to a matrix, with its mean scale where `scaled`."""
    left, _, right = np.linalg.svd(linear)
    turn = left @ np.diag([1.0] * (len(linear) - 1) + [np.sign(np.linalg.det(left @ right))]) @ right
    scale = abs(np.linalg.det(linear)) ** (1 / len(linear)) if scaled else 1.0
    return np.asarray(scale * turn, np.float64)


def _coarse(image: sitk.Image, spacing: float) -> sitk.Image:
    factors = [
        max(1, min(round(spacing / s), n // 4)) for s, n in zip(image.GetSpacing(), image.GetSize(), strict=True)
    ]
    return sitk.BinShrink(image, factors) if max(factors) > 1 else image
