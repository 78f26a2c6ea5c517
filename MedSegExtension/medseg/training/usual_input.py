"""What is usual input of a network that was trained on drawn images: where their features lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from medseg.fitting import usual
from medseg.inference.features import features
from medseg.model_card import Inference
from medseg.training.samples import Samples
from medseg.training.seeds import generator

_CASES = 200
_TRIALS = 1000


def usual_input(network: torch.nn.Module, samples: Samples, how: Inference, seed: int) -> Mapping[str, Any] | None:
    """Fit the feature statistics of a card (`scores/features`) to images that the network was trained on.

    Only images as large as what the network sees at once count: of a smaller one, a part would be padding, which an
    image of a patient is not.

    Args:
        network: in evaluation mode.
        samples: that it was trained on, drawn whole; not patches cut out of files, which are no images a user has.
        how: the card's window.
        seed: of the draw.

    Returns:
        See `medseg.quality.FeatureStatistics.as_json`, with the number of "cases"; None where the network has no layer
        to look into, or there are no two images of that size.
    """
    found = list(islice(_features(network, samples, how, seed), _CASES))
    if len(found) < 2:
        return None
    return {**usual(np.stack(found)).as_json(), "cases": len(found)}


def _features(
    network: torch.nn.Module, samples: Samples, how: Inference, seed: int
) -> Iterator[npt.NDArray[np.float64]]:
    for trial in range(_TRIALS):
        image = samples.sample(trial % len(samples), generator(seed, "usual input", trial)).image
        small = any(n < wanted for n, wanted in zip(image.shape[1:], how.window, strict=False))
        vector = np.empty(0) if small else features(network, image.to(next(network.parameters()).device), how)
        if len(vector):
            yield vector
