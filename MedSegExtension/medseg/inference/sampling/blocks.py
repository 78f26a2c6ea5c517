"""One block of voxels (a window, or part of a slab) sampled and reduced to what is kept of it.

A block's measures are channels of one tensor, in the order of `Layout`: so windows are blended as outputs are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from medseg.inference.sampling.agreement import Agreement
from medseg.inference.sampling.average import Average
from medseg.inference.sampling.method import Method, Predictor
from medseg.inference.sampling.reading import Read, Reading
from medseg.sampling import Sampling

ENTROPIES = ("predictive_entropy", "expected_entropy", "variance")
CERTAIN = 0.01
"""Nats of the plain network below which the fast way does not sample: the likeliest class has over 99.8 percent."""
SETTLED = 0.1
"""Relative change of the entropy below which the fast way draws no more samples."""
_BLOCK = 1 << 20  # numbers in the features of a block: 4 MiB


@dataclass(frozen=True, eq=False)
class Task:
    """What is asked of each block.

    Attributes:
        method: the generator of predictors.
        how: as the user chose.
        overlapping: whether segments may overlap.
        agreement: where the agreement of samples is added up.
    """

    method: Method
    how: Sampling
    overlapping: bool
    agreement: Agreement

    @property
    def tolerance(self) -> float:
        """From when on no more samples are drawn; the fast way does not draw what would hardly change the map."""
        return max(self.how.tolerance, SETTLED if self.method.plain else 0.0)

    @property
    def reading(self) -> Reading:
        """How outputs are read."""
        return Reading(self.method.outputs, self.how.temperature, self.overlapping)

    def classes(self, read: Read) -> int:
        """How many values a label may have."""
        return 2 if self.overlapping else len(read.distribution)

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures of a block, in their order."""
        return (*ENTROPIES, "vacuity" if self.method.outputs == "evidence" else "disagreement")


def sampled(task: Task, shared: torch.Tensor, predictors: Iterable[Predictor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the samples of a block of shape (batch, channels, ...).

    Returns:
        The mean distribution, (classes, batch, ...), and the measures, (measures, batch, ...), float32.
    """
    if task.method.outputs == "evidence":
        return _from_evidence(next(iter(predictors))(shared).float().movedim(1, 0))
    if task.method.plain:
        return _sampled_where_doubtful(task, shared, predictors)
    return _sampled_everywhere(task, shared, predictors)


def _sampled_everywhere(
    task: Task, shared: torch.Tensor, predictors: Iterable[Predictor]
) -> tuple[torch.Tensor, torch.Tensor]:
    mean, measures, shared_voxels = _averaged(task, (predictor(shared).movedim(1, 0) for predictor in predictors))
    task.agreement.add(shared_voxels)
    return mean, measures


def _averaged(task: Task, outputs: Iterable[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Average samples of shape (channels, ...); returns mean, measures, and the voxels that samples share by class."""
    average = Average(task.reading)
    for sample in outputs:
        average.add(sample)
        if task.tolerance and average.settled(task.tolerance):
            break
    disagreement, shared_voxels = average.votes(2 if task.overlapping else len(average.mean))
    measures = (average.predictive_entropy, average.expected_entropy, average.variance, disagreement)
    return average.mean, torch.stack(measures), shared_voxels


def _sampled_where_doubtful(
    task: Task, shared: torch.Tensor, predictors: Iterable[Predictor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the plain network everywhere, and samples where it leaves more than `CERTAIN` nats of doubt."""
    if task.method.plain is None:
        raise ValueError("the method has no plain network to begin with")
    outputs = task.method.plain(shared).movedim(1, 0)
    read = task.reading(outputs)
    doubt, labels = read.entropy.flatten(), read.labels.flatten(1)
    wanted = (doubt > CERTAIN).nonzero()[:, 0]
    if 2 * len(wanted) > len(doubt):  # to pick them out would cost more than it saves
        del outputs, read, doubt, labels, wanted  # each as large as a sample, and the samples come on top
        return _sampled_everywhere(task, shared, predictors)
    known = torch.ones_like(doubt, dtype=torch.bool).index_fill_(0, wanted, False)
    counts = torch.stack([torch.bincount(layer[known].int(), minlength=task.classes(read)) for layer in labels]).cpu()
    mean = read.distribution.flatten(1)
    measures = torch.stack([doubt, doubt, torch.zeros_like(doubt), torch.zeros_like(doubt)])
    found = _averaged(task, _only(task.method, shared, predictors, wanted)) if len(wanted) else None
    if found:
        mean[:, wanted], measures[:, wanted] = found[:2]
    samples = found[2].shape[1] if found else task.how.samples
    agreed = counts[:, None, None].expand(-1, samples, samples, -1)
    task.agreement.add(agreed + found[2] if found else agreed)
    return mean.view_as(read.distribution), measures.view(-1, *outputs.shape[1:])


def _only(
    method: Method, shared: torch.Tensor, predictors: Iterable[Predictor], wanted: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Yield each sample's outputs at some voxels, (channels, voxels), numbered over batch and space."""
    if method.voxelwise:
        picked = shared.movedim(1, 0).flatten(1)[:, wanted][None]
        yield from (predictor(picked)[0] for predictor in predictors)
    else:
        yield from (predictor(shared).movedim(1, 0).flatten(1)[:, wanted] for predictor in predictors)


def _from_evidence(evidence: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """See `medseg.uncertainty.from_evidence`; the variance is the Dirichlet distribution's."""
    alpha = evidence + 1
    strength = alpha.sum(0)
    mean = alpha / strength
    expected = torch.digamma(strength + 1) - (mean * torch.digamma(alpha + 1)).sum(0)
    variance = (mean * (1 - mean)).sum(0) / (strength + 1)
    predictive = torch.special.entr(mean).sum(0)
    return mean, torch.stack([predictive, expected, variance, len(alpha) / strength])


class WindowSampler:
    """A network for `volume.predict` that samples each window and gives mean distribution and measures as channels."""

    def __init__(self, task: Task) -> None:
        """Sample windows as the task says."""
        self._task, self._window = task, 0

    def reset(self) -> None:
        """Count windows from 0 again."""
        self._window = 0

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """From (batch, channels, i, j, k) to (batch, classes + measures, i, j, k)."""
        predictors = self._task.method.predictors(self._window)
        self._window += len(images)
        mean, measures = sampled(self._task, self._task.method.shared(images), predictors)
        return torch.cat([mean, measures]).movedim(0, 1)


class SharedPart:
    """A network for `volume.predict`: what samples share, and a channel of ones that tells which windows were run."""

    def __init__(self, task: Task) -> None:
        """Compute what the task's samples share."""
        self._task = task

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """From (batch, channels, i, j, k) to (batch, features + 1, i, j, k)."""
        shared = self._task.method.shared(images)
        return torch.cat([shared, torch.ones_like(shared[:, :1])], 1)


def sampled_slab(task: Task, blended: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Sample a slab of blended features, shape (features + 1, i, j, k), in blocks along its first axis.

    Yields:
        Mean distribution and measures of each block; where no window was run, the first class without doubt.
    """
    rows = max(1, _BLOCK // math.prod((blended.shape[0], *blended.shape[2:])))
    for block in blended.tensor_split(tuple(range(rows, blended.shape[1], rows)), 1):
        mean, measures = sampled(task, block[None, :-1].contiguous(), task.method.predictors(0))
        unseen = block[-1] == 0
        if unseen.any():
            mean[:, 0, unseen] = 0
            mean[0, 0, unseen] = 1
            measures[:, 0, unseen] = 0
        yield mean[:, 0], measures[:, 0]
