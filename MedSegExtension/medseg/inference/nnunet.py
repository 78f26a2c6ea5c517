"""nnU-Net v2 models as segmenters, run by nnU-Net itself (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z)."""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import math
import os
import queue
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from medseg import inputs
from medseg.errors import BadInput, Failed, Notice
from medseg.geometry import Geometry, resample
from medseg.inference import nnunet_folder
from medseg.inference.device import Device
from medseg.inference.nnunet_folder import ResultFolder, card_of
from medseg.inference.provenance import provenance
from medseg.model_card import ModelCard
from medseg.notices import collected
from medseg.progress import Cancelled, Progress, Stopwatch, part, with_time_left
from medseg.segmentation import Segmentation
from medseg.segmenter import Prediction, Provenance

__all__ = ["NnunetSegmenter", "card_of"]

_STEP = 0.5  # nnU-Net's own: windows overlap by half
_SLICE_APART = 999  # nnU-Net's way to say that a 2D image has no neighbours: so many pixels to the next slice


class NnunetSegmenter:
    """Segments with all folds of an nnU-Net v2 result folder, averaged, mirrored as in its training."""

    def __init__(self, card: ModelCard, folder: Path, device: Device) -> None:
        """Load the folds.

        Args:
            card: from `card_of`; its `bundle` says where the result folder lies.
            folder: what `card.bundle["path"]` is relative to.
            device: what the network runs on.

        Raises:
            BadInput: if nnU-Net is not installed, or the folder is incomplete, changed or unsafe.
        """
        _require_installed(card)
        self._card, self._device = card, device
        self._found = nnunet_folder.read(folder / card.bundle.get("path", "."))
        _require_unchanged(card, self._found)
        with contextlib.redirect_stdout(io.StringIO()):  # nnU-Net prints; standard output is for results
            self._configuration = nnunet_folder.require_safe(self._found)
            self._predictor = _predictor(self._found, device.device)

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
            grid = self._trained_grid(Geometry.of(images[0]))
            turned = [resample(image, grid, sitk.sitkNearestNeighbor) for image in fitted]
            with watch.step("network"):
                labels = self._labels(turned, part(with_time_left(progress), 0.05, 0.95))
            segmentation = self._segmentation(labels, grid, Geometry.of(images[0]))
        progress(1.0, "done")
        return Prediction(segmentation, self._provenance(notes, watch))

    def _trained_grid(self, grid: Geometry) -> Geometry:
        """Turn the axes where the model's own reader did so in training."""
        reader = str(self._found.plans.get("image_reader_writer", ""))
        return grid.oriented("RAS") if reader.endswith("WithReorient") and grid.dimension == 3 else grid

    def _labels(self, images: Sequence[sitk.Image], progress: Progress) -> Any:
        """Return nnU-Net's labels, shape (k, j, i)."""
        dimension = images[0].GetDimension()
        arrays = [sitk.GetArrayFromImage(image) for image in images]
        stack = np.stack(arrays) if dimension == 3 else np.stack(arrays)[:, np.newaxis]
        spacing = list(images[0].GetSpacing())[::-1]
        spacing = spacing if dimension == 3 else [_SLICE_APART * max(spacing), *spacing]
        with self._reporting(stack.shape[1:], spacing, progress), _quiet_and_tidy() as said:
            labels = self._predictor.predict_single_npy_array(stack, {"spacing": spacing})
        if "unsuccessful" in said.getvalue():
            warnings.warn("GPU memory ran out: results were collected on the CPU", Notice, stacklevel=2)
        return labels if dimension == 3 else labels[0]

    @contextlib.contextmanager
    def _reporting(self, shape: Sequence[int], spacing: Sequence[float], progress: Progress) -> Iterator[None]:
        """Report, and let the user cancel, whenever nnU-Net calls the network."""
        total = self._windows(shape, spacing) * self._mirrors() * len(self._found.folds)
        calls, stdout = itertools.count(1), sys.stdout

        def report(*_: Any) -> None:
            number = next(calls)
            with contextlib.redirect_stdout(stdout):  # what nnU-Net prints is caught, what the caller prints is not
                progress(min(number / (total + 1), 0.99), f"window {number} of about {max(total, number)}")

        hook = self._predictor.network.register_forward_pre_hook(report)
        try:
            yield
        finally:
            hook.remove()

    def _windows(self, shape: Sequence[int], spacing: Sequence[float]) -> int:
        """About how many windows one network looks at; nnU-Net crops to the non-zero part first, so at most."""
        from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window as steps

        window, target = self._predictor.configuration_manager.patch_size, self._predictor.configuration_manager.spacing
        order = self._predictor.plans_manager.transpose_forward
        ordered = [(shape[axis], spacing[axis]) for axis in order][-len(window) :]
        size = [round(n * old / new) for (n, old), new in zip(ordered, target, strict=True)]
        grown = tuple(max(n, w) for n, w in zip(size, window, strict=True))
        slices = shape[order[0]] if len(window) < len(shape) else 1
        return int(slices * math.prod(len(axis) for axis in steps(grown, tuple(window), _STEP)))

    def _mirrors(self) -> int:
        axes = self._predictor.allowed_mirroring_axes if self._predictor.use_mirroring else None
        return int(2 ** len(axes or ()))

    def _segmentation(self, labels: Any, trained: Geometry, grid: Geometry) -> Segmentation:
        values = np.asarray(labels)
        if self._found.overlapping:
            layers = [np.isin(values, region.labels) for region in self._found.regions]
            values = np.stack(layers, axis=-1).astype(np.uint8)
        image = resample(trained.image(np.ascontiguousarray(values)), grid, sitk.sitkNearestNeighbor)
        return Segmentation(image, self._card.segments)

    def _provenance(self, notes: Sequence[str], watch: Stopwatch) -> Provenance:
        options = {
            "runtime": "nnU-Net",
            "configuration": self._configuration,
            "trainer": self._predictor.trainer_name,
            "folds": list(self._found.folds),
            "window": [int(n) for n in self._predictor.configuration_manager.patch_size],
            "overlap": 1 - _STEP,
            "mirrored": self._mirrors(),
        }
        return provenance(self._card, f"{self._device.name}: {self._device.reason}", options, notes, watch.seconds)


def _require_installed(card: ModelCard) -> None:
    # nnU-Net reads this when imported and else computes in 8 threads, which on fewer cores is many times slower
    os.environ.setdefault("nnUNet_def_n_proc", str(torch.get_num_threads()))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module("nnunetv2.inference.predict_from_raw_data")
    except ModuleNotFoundError as fault:
        raise BadInput(
            f"model {card.name} is an nnU-Net, which is not installed ({fault.name} is missing); "
            'run: pip install "medseg[nnunet]"'
        ) from fault


def _require_unchanged(card: ModelCard, found: ResultFolder) -> None:
    known, now = str(card.bundle.get("sha256", "")), found.fingerprint
    if known not in ("", now):
        raise BadInput(
            f"{found.folder} is not the folder that card {card.name} describes (SHA-256 {now[:12]}..., expected "
            f"{known[:12]}...); add the model again"
        )


def _predictor(found: ResultFolder, device: torch.device) -> Any:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(tile_step_size=_STEP, device=device, allow_tqdm=False)
    try:
        predictor.initialize_from_trained_model_folder(str(found.folder), found.folds, nnunet_folder.CHECKPOINT)
    except (RuntimeError, KeyError, TypeError, ValueError, ImportError, AssertionError) as fault:
        first = (str(fault).strip() or type(fault).__name__).splitlines()[0][:300]
        raise BadInput(f"nnU-Net cannot open {found.folder}: {first}") from fault
    return predictor


@contextlib.contextmanager
def _quiet_and_tidy() -> Iterator[io.StringIO]:
    """Catch what nnU-Net prints, and clear up what it leaves behind when it is broken off.

    Raises:
        Failed: if it breaks.
    """
    threads = torch.get_num_threads()
    try:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            yield said
    except (Cancelled, RuntimeError) as fault:
        _release_producer(fault.__traceback__)
        if isinstance(fault, RuntimeError):
            raise Failed(f"nnU-Net broke: {(str(fault).strip() or 'no reason').splitlines()[0]}") from fault
        raise
    finally:
        torch.set_num_threads(threads)  # nnU-Net sets fewer and does not set them back when broken off


def _release_producer(trace: TracebackType | None) -> None:
    """Let nnU-Net's thread that cuts windows run out: it waits for room in its queue for ever, holding the volume."""
    for frame, _ in traceback.walk_tb(trace):
        windows, thread = frame.f_locals.get("queue"), frame.f_locals.get("t")
        while isinstance(windows, queue.Queue) and isinstance(thread, threading.Thread) and thread.is_alive():
            with contextlib.suppress(queue.Empty):
                windows.get(timeout=0.05)
