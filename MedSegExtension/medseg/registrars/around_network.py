"""What comes before a registration network and after it: a linear part, and optimisation for the very images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from medseg.errors import BadInput
from medseg.progress import Progress, part
from medseg.registrars import checks
from medseg.registrars.diffeomorphic import LINEAR, LINEAR_MEASURE, TorchLinear, VelocityField
from medseg.registrars.matrices import Matrix, matrix_of
from medseg.registration import Guidance

Images = tuple[sitk.Image, sitk.Image]
Both = tuple[sitk.Transform, sitk.Transform]
"""From fixed to moving points, and back."""
ByNetwork = Callable[[Images, Matrix], Both]
"""From both images and the matrix from fixed to moving points to the whole transform, that matrix in it, and back."""


@dataclass(frozen=True)
class Around:
    """The steps about a network.

    Attributes:
        name: of the network, as people read it.
        refine: optimise a velocity field afterwards, as "svf-fast" does, beginning at what the network found.
        measure: of that, one of `losses.LOSSES`; the linear part takes what is nearest to it.
        linear: what comes first: "rigid", "similarity", "affine", or "none" (trust the headers or what is given).
        turns, seed: random starts of the linear part.
        device: where to compute, e.g. "cpu" or "cuda:0".
    """

    name: str
    refine: bool = False
    measure: str = "lncc"
    linear: str = "affine"
    turns: int = 8
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        checks.one_of(self.measure, tuple(LINEAR_MEASURE), "measure")
        checks.one_of(self.linear, LINEAR, "linear part")

    def register_both(self, network: ByNetwork, images: Images, guidance: Guidance, progress: Progress) -> Both:
        """Run all steps; the images are checked already.

        Raises:
            BadInput: if the images are pictures, or the initial transform is not linear.
        """
        if images[0].GetDimension() != 3:
            raise BadInput(f"{self.name} registers volumes; the images are 2D")
        if guidance.initial is not None and not guidance.initial.IsLinear():
            raise BadInput(f"{self.name} begins at a linear transform; give one, or none")
        affine = self._affine(images, guidance, part(progress, 0.0, 0.3))
        progress(0.3, self.name)
        both = network(images, affine)
        if self.refine:
            both = self._refined(both, images, guidance, part(progress, 0.6, 1.0))
        progress(1.0, "done")
        return both

    def _affine(self, images: Images, guidance: Guidance, progress: Progress) -> Matrix:
        if self.linear == "none":
            return matrix_of(guidance.initial) if guidance.initial is not None else np.eye(4)
        engine = TorchLinear(self.linear, LINEAR_MEASURE[self.measure], "auto", self.turns, self.seed, self.device)
        return matrix_of(engine.register(*images, progress, guidance))

    def _refined(self, both: Both, images: Images, guidance: Guidance, progress: Progress) -> Both:
        engine = VelocityField("fast", self.measure, linear="none", device=self.device)
        more = engine.refine(both[0], images, guidance, progress)
        return sitk.CompositeTransform([both[0], more[0]]), sitk.CompositeTransform([more[1], both[1]])
