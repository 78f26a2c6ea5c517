"""Voxel-wise uncertainty, named by formula, in nats.

p_n is the class distribution of sample n of N at a voxel, H the Shannon entropy:
predictive entropy H(mean_n p_n), expected entropy mean_n H(p_n), mutual information their difference
(Gal, Islam and Ghahramani 2017, "Deep Bayesian Active Learning with Image Data").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from medseg.geometry import Geometry

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Two float32 images in nats on the grid of the segmented image; the third measure follows from them."""

    predictive_entropy: sitk.Image
    expected_entropy: sitk.Image

    @property
    def mutual_information(self) -> sitk.Image:
        """Predictive minus expected entropy, float32, nats; never below 0 (rounding is clamped)."""
        return sitk.Maximum(self.predictive_entropy - self.expected_entropy, 0.0)


def entropy(probabilities: npt.NDArray[np.floating]) -> Floats:
    """Shannon entropy over the first axis, in nats: -sum_c p_c ln p_c, with 0 ln 0 = 0.

    Args:
        probabilities: shape (classes, ...), non-negative, summing to 1 over the first axis.

    Returns:
        float32, shape (...).

    >>> float(entropy(np.array([[0.5], [0.5]]))[0])
    0.6931471824645996
    """
    safe = np.where(probabilities > 0, probabilities, 1)
    return np.asarray(-(probabilities * np.log(safe)).sum(axis=0), dtype=np.float32)


def from_samples(samples: Iterable[npt.NDArray[np.floating]], grid: Geometry) -> Uncertainty:
    """Reduce sampled class distributions, each of shape (classes, k, j, i), holding one sample at a time.

    Raises:
        ValueError: if there is no sample.
    """
    mean: npt.NDArray[np.float64] | None = None
    expected = np.zeros(grid.shape, np.float64)
    count = 0
    for count, sample in enumerate(samples, start=1):
        mean = sample.astype(np.float64) if mean is None else mean + (sample - mean) / count
        expected += (entropy(sample) - expected) / count
    if mean is None:
        raise ValueError(f"uncertainty needs at least one sample, got {count}")
    return Uncertainty(grid.image(entropy(mean)), grid.image(expected.astype(np.float32)))
