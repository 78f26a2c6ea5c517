"""MONAI bundles as segmenters: the bundle's own preprocessing, network, inferer and postprocessing, on our images."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from medseg import fingerprints, inputs
from medseg.errors import BadInput, Failed, Notice
from medseg.geometry import Geometry, resample
from medseg.inference import bundle_config, bundle_files, bundle_images, bundle_parts, bundle_steps
from medseg.inference.bundle_card import card_of
from medseg.inference.bundle_files import Bundle
from medseg.inference.device import Device
from medseg.inference.provenance import provenance
from medseg.model_card import ModelCard
from medseg.notices import collected
from medseg.progress import Progress, Stopwatch, part, with_time_left
from medseg.segmentation import Segment, Segmentation, default_segments, label_values
from medseg.segmenter import Prediction, Provenance

__all__ = ["BundleSegmenter", "card_of"]


class BundleSegmenter:
    """Segments with a MONAI bundle as MONAI's own command would, but in memory, and gives the result as segments."""

    def __init__(self, card: ModelCard, folder: Path, device: Device) -> None:
        """Build the bundle's parts and load its weights.

        Args:
            card: from `card_of`; its `bundle` says where the bundle lies and whether it is trusted.
            folder: what `card.bundle["path"]` is relative to.
            device: what the network runs on.

        Raises:
            BadInput: if the bundle is incomplete, changed, or runs code without being trusted.
        """
        self._card, self._device = card, device
        self._bundle = bundle_files.read(folder / card.bundle.get("path", "."))
        config = bundle_config.load(self._bundle.config)
        trusted = str(card.bundle.get("sha256", "")) if card.bundle.get("trusted") else ""
        self._trusted = bundle_config.require_safe(self._bundle, config, trusted)
        _require_unchanged(card, self._bundle)
        self._parts = bundle_parts.build(self._bundle, config, device.device, self._trusted)

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        return self._card

    def predict(self, images: Sequence[sitk.Image], progress: Progress) -> Prediction:
        """Segment one case; see `medseg.segmenter.Segmenter`."""
        watch = Stopwatch()
        with collected(repeat=True) as notes:
            progress(0.0, "preparing the image")
            fitted = inputs.fit(self._card, images)
            with self._importing():
                pred = self._run(fitted, progress, watch)
            segmentation = _segmentation(pred, Geometry.of(images[0]), self._card)
        progress(1.0, "done")
        return Prediction(segmentation, self._provenance(notes, watch))

    def _run(self, images: Sequence[sitk.Image], progress: Progress, watch: Stopwatch) -> Any:
        data = bundle_images.data(images, self._parts.loading, self._bundle.name)
        with watch.step("prepare"):
            data = bundle_steps.prepare(self._parts, data, part(progress, 0.0, 0.15))
        with watch.step("network"):
            report = part(with_time_left(progress), 0.15, 0.8)
            data = bundle_steps.infer(self._parts, data, self._device.device, self._dtype(), report)
        with watch.step("restore"):
            keep = _layers(self._card) > 1
            return bundle_steps.finish(self._parts, data, keep, part(progress, 0.8, 1.0))[bundle_steps.PRED]

    def _importing(self) -> AbstractContextManager[None]:
        return bundle_parts.importing_from(self._bundle.folder) if self._trusted else contextlib.nullcontext()

    def _dtype(self) -> torch.dtype:
        # as MONAI: mixed precision only on a GPU, only where the bundle's evaluator asks for it
        half = self._parts.mixed_precision and self._device.device.type == "cuda"
        return self._device.fastest_dtype() if half else torch.float32

    def _provenance(self, notes: Sequence[str], watch: Stopwatch) -> Provenance:
        inferer = self._parts.inferer
        options = {
            "runtime": "MONAI bundle",
            "precision": str(self._dtype()).removeprefix("torch."),
            "inferer": type(inferer).__name__ if inferer is not None else "SimpleInferer",
            "window": _plain(getattr(inferer, "roi_size", "whole volume")),
            "overlap": _plain(getattr(inferer, "overlap", 0.0)),
            "trusted": self._trusted,
        }
        record = provenance(self._card, f"{self._device.name}: {self._device.reason}", options, notes, watch.seconds)
        return replace(record, software={**record.software, f"bundle {self._bundle.name}": self._card.version})


def _require_unchanged(card: ModelCard, bundle: Bundle) -> None:
    weights, known = fingerprints.of_file(bundle.weights), str(card.bundle.get("sha256", ""))
    if card.sha256 not in ("", weights):
        raise BadInput(
            f"weights {bundle.weights} of model {card.name} are not the ones its card names (SHA-256 {weights[:12]}, "
            f"expected {card.sha256[:12]}); add the bundle again"
        )
    if known not in ("", bundle.fingerprint):
        raise BadInput(f"bundle {bundle.folder} has changed since model {card.name} was added; add it again")


def _segmentation(pred: torch.Tensor, grid: Geometry, card: ModelCard) -> Segmentation:
    """Turn the bundle's last tensor (channels, i, j[, k]) into segments on the input's grid."""
    voxels = _labels(pred, _layers(card))
    image = bundle_images.grid_of(pred, grid.dimension).image(voxels)
    if bundle_images.is_on(pred, grid):
        labels = grid.image(voxels)
    else:
        warnings.warn("the bundle leaves its result on a grid of its own: nearest voxels taken", Notice, stacklevel=2)
        labels = resample(image, grid, sitk.sitkNearestNeighbor)
    return Segmentation(labels, _segments(labels, card))


def _labels(pred: torch.Tensor, layers: int) -> Any:
    """Return labels as an array (k, j, i), or (k, j, i, layer) where structures may overlap."""
    plain = torch.as_tensor(pred).cpu()
    if layers > 1 and len(plain) > 1:
        if len(plain) != layers:
            raise Failed(f"the bundle gave {len(plain)} channels but its metadata names {layers}")
        return np.stack([bundle_images.array_of(channel > 0.5) for channel in plain], axis=-1).astype(np.uint8)
    values = plain.argmax(0) if len(plain) > 1 else plain[0].float().round()
    largest = int(values.max())
    return np.ascontiguousarray(bundle_images.array_of(values)).astype(np.uint8 if largest < 256 else np.int16)


def _segments(labels: sitk.Image, card: ModelCard) -> tuple[Segment, ...]:
    """Return the card's segments, and unnamed ones for values that the bundle gave without naming them."""
    if labels.GetNumberOfComponentsPerPixel() > 1:
        return card.segments
    named = () if _layers(card) > 1 else card.segments
    unnamed = sorted(set(label_values(labels)) - {segment.value for segment in named})
    if unnamed:
        warnings.warn(f"the bundle's metadata does not name its label(s) {unnamed}", Notice, stacklevel=2)
    return (*named, *default_segments(unnamed))


def _layers(card: ModelCard) -> int:
    return max(segment.layer for segment in card.segments) + 1


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value
