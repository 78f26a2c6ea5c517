"""What a network that answers clicks is shown: a crop of the image, the mask as it stands, and the clicks so far.

Clicks and the previous mask as further input channels: Xu et al. 2016 (deep interactive object selection), Sofiiuk et
al. 2022 (RITM, "Reviving iterative training with mask guidance"), Diaz-Pinto et al. 2022 (DeepEdit). Two more channels
say what the last click was about: where it is, and the grey values around that of the clicked place, spread wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

from medseg.segmentation import Mask

CHANNELS = ("image", "image about the click", "previous mask", "positive clicks", "negative clicks", "last click")
_IMAGE, _ABOUT, PREVIOUS, _POSITIVE, _NEGATIVE, _LAST = range(len(CHANNELS))
_NARROW, _WIDE = 2.0, 4.0
_SPAN = 0.15


class Click(NamedTuple):
    """A place in voxels of the crop, in the order of its axes, and whether the structure is there."""

    place: tuple[float, float, float]
    positive: bool


def rescaled(voxels: torch.Tensor, low: float = 0.5, high: float = 99.5) -> torch.Tensor:
    """Bring these percentiles of a crop to 0 and 1 and clip."""
    sample = voxels.flatten()[:: max(1, voxels.numel() // 20_000)].sort().values
    first, last = (float(sample[round((len(sample) - 1) * p / 100)]) for p in (low, high))
    return ((voxels - first) / max(last - first, 1e-6)).clamp(0, 1)


def begun(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the channels (6, i, j, k) before any click, of an image in [0, 1] and a mask, both (i, j, k)."""
    channels = torch.zeros(len(CHANNELS), *image.shape)
    channels[_IMAGE], channels[PREVIOUS] = image, mask
    return channels


def clicked(channels: torch.Tensor, *clicks: Click) -> torch.Tensor:
    """Return the channels after more clicks, of which the last one is what the answer must be about."""
    after, shape = channels.clone(), channels.shape[1:]
    for click in clicks:
        sign = after[_POSITIVE if click.positive else _NEGATIVE]
        torch.maximum(sign, _blob(shape, click, _NARROW), out=sign)
    for click in clicks[-1:]:
        after[_ABOUT] = _about(channels[_IMAGE], click)
        after[_LAST] = _blob(shape, click, _WIDE)
    return after


def _about(image: torch.Tensor, click: Click) -> torch.Tensor:
    """Grey values in a narrow window about those of the clicked place, from -1 to 1, as one would set the display."""
    around = tuple(
        slice(max(0, min(round(p), n - 1) - 1), max(0, min(round(p), n - 1)) + 2)
        for p, n in zip(click.place, image.shape, strict=True)
    )
    return ((image - image[around].mean()) / _SPAN).clamp(-1, 1)


def _blob(shape: Sequence[int], click: Click, width: float) -> torch.Tensor:
    i, j, k = (
        torch.exp(-((torch.arange(n) - p) ** 2) / (2 * width**2)) for n, p in zip(shape, click.place, strict=True)
    )
    return i[:, None, None] * j[None, :, None] * k[None, None, :]


def disputed(before: Mask, found: Mask, seeds: Mask, positive: bool) -> Mask:
    """Return what a click changes: where the network contradicts the mask, as far as it hangs together with the click.

    A positive click only adds and a negative one only removes, so that what is right elsewhere stays.

    Args:
        before: the mask as it stands, 3D.
        found: the network's, the same shape.
        seeds: where the click is; always changed, as far as it contradicts the mask.
        positive: its sign.
    """
    changed = (found & ~before) if positive else (before & ~found)
    changed = (changed | seeds) & (before != positive)
    labels, _ = ndimage.label(changed | seeds)
    kept = np.unique(labels[seeds])
    return np.asarray(np.isin(labels, kept[kept > 0]) & changed)
