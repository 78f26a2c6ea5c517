"""Running a bundle's parts over one case, step by step, in as little memory as its steps allow."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import Any

import torch
from torch.nn import functional

from medseg.errors import Failed, Notice
from medseg.inference import volume
from medseg.inference.bundle_parts import Parts
from medseg.inference.windows import Windows
from medseg.progress import Progress

Data = dict[str, Any]
Inside = tuple[EllipsisType | slice, ...]

IMAGE, PRED = "image", "pred"  # the keys that MONAI's evaluators use
_CHUNK_BYTES = 1 << 30  # how much of the inverted probabilities is held at a time


@torch.inference_mode()
def prepare(parts: Parts, data: Data, progress: Progress) -> Data:
    """Run the bundle's own preprocessing.

    Raises:
        Failed: if a step breaks, or yields anything but one image.
    """
    for number, step in enumerate(parts.preprocessing):
        progress(number / len(parts.preprocessing), "preparing the image")
        data = _applied(step, data, "preprocessing")
    if not isinstance(data, dict) or not isinstance(data.get(IMAGE), torch.Tensor):
        raise Failed(f"the bundle's preprocessing gave no single tensor called {IMAGE!r}; such bundles do not run here")
    return data


@torch.inference_mode()
def infer(parts: Parts, data: Data, device: torch.device, dtype: torch.dtype, progress: Progress) -> Data:
    """Run the network over the prepared image; where the next step is to choose the class, choose it on the fly.

    Returns:
        The data with `pred`: labels, shape (1, i, j, k), or averaged raw outputs, shape (classes, i, j, k).
    """
    image = data[IMAGE]
    chooses = bool(_choice(parts.postprocessing))
    plain = image.as_tensor().float().cpu() if hasattr(image, "as_tensor") else image.float().cpu()
    windows = windows_of(parts.inferer, plain.shape[1:])
    try:
        if windows is None:
            outputs = _by_inferer(parts, plain.to(device), progress)
            outputs = volume.labels(outputs) if chooses else outputs
        else:
            plan = volume.Plan(windows, device, dtype)
            padded, inside = _padded(plain, parts.inferer, windows)
            reduce = volume.labels if chooses else volume.raw
            outputs = volume.predict(parts.network, padded, plan, reduce, progress)[inside]
    except RuntimeError as fault:
        raise Failed(f"the bundle's network broke: {_first_line(fault)}") from fault
    return {**data, PRED: _like(outputs[None].float() if chooses else outputs, image)}


@torch.inference_mode()
def finish(parts: Parts, data: Data, keep_channels: bool, progress: Progress) -> Data:
    """Run the bundle's own postprocessing on what `infer` gave.

    Args:
        parts: of the bundle.
        data: from `infer`.
        keep_channels: stop before a last step that merges channels: the metadata names them, not the merged labels.
        progress: called between steps.

    Raises:
        Failed: if a step breaks.
    """
    if not parts.postprocessing:
        warnings.warn("the bundle has no postprocessing: the largest output decides", Notice, stacklevel=3)
    steps = parts.postprocessing[len(_choice(parts.postprocessing)) :]
    if inversion := _inversion(steps):
        data = _inverted_choice(inversion, data, progress)
        steps = steps[len(inversion) :]
    for number, step in enumerate(steps, start=1):
        progress(number / (len(steps) + 1), "postprocessing")
        result = _applied(step, data, "postprocessing")
        if keep_channels and number == len(steps) and len(data[PRED]) > len(result[PRED]) == 1:
            warnings.warn("the bundle's last step, which merges its structures, was left out", Notice, stacklevel=3)
            return data
        data = result
    return data


def windows_of(inferer: Any, shape: Sequence[int]) -> Windows | None:
    """Return how an inferer of MONAI cuts a volume of this shape; None where only the inferer itself knows."""
    from monai.inferers import SimpleInferer, SlidingWindowInferer, SlidingWindowInfererAdapt
    from monai.utils import fall_back_tuple

    if inferer is None or type(inferer) is SimpleInferer:
        return Windows()
    known = type(inferer) in (SlidingWindowInferer, SlidingWindowInfererAdapt) and not inferer.with_coord
    if not known or not isinstance(inferer.sigma_scale, float | int):
        return None
    overlap = inferer.overlap
    return Windows(
        size=tuple(int(n) for n in fall_back_tuple(inferer.roi_size, tuple(shape))),
        overlap=float(overlap) if isinstance(overlap, float | int) else tuple(overlap),
        batch=int(inferer.sw_batch_size),
        blending="gaussian" if str(inferer.mode) == "gaussian" else "constant",
        sigma=float(inferer.sigma_scale),
    )


def _by_inferer(parts: Parts, image: torch.Tensor, progress: Progress) -> torch.Tensor:
    """Let the bundle's own inferer call the network; how often it will is not known beforehand."""
    calls = 0

    def network(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        progress(1 - 1 / (1 + calls / 20), f"window {calls}")
        return parts.network(*arguments, **options)

    outputs = parts.inferer(image[None], network)
    outputs = outputs[0] if isinstance(outputs, list | tuple) else outputs
    return torch.as_tensor(outputs)[0].float().cpu()


def _padded(image: torch.Tensor, inferer: Any, windows: Windows) -> tuple[torch.Tensor, Inside]:
    """Pad as the inferer wants where the volume is smaller than a window; `Windows` itself pads with zeros."""
    mode = str(getattr(inferer, "padding_mode", "constant"))
    value = float(getattr(inferer, "cval", 0.0))
    shape = image.shape[1:]
    if mode == "constant" and value == 0:
        return image, (...,)
    pads = windows.padding(shape)
    flat = [n for pair in reversed(pads) for n in pair]
    grown = functional.pad(image[None], flat, mode=mode, **({"value": value} if mode == "constant" else {}))[0]
    return grown, (..., *(slice(before, before + n) for (before, _), n in zip(pads, shape, strict=True)))


def _choice(steps: Sequence[Any]) -> Sequence[Any]:
    """Return the leading steps that do no more than choose the class: argmax, with or without softmax before it."""
    if steps and _is_argmax(steps[0]):
        return steps[:1]
    return steps[:2] if len(steps) > 1 and _is_softmax(steps[0]) and _is_argmax(steps[1]) else ()


def _inversion(steps: Sequence[Any]) -> Sequence[Any]:
    """Return the leading steps softmax, invert, argmax, which most published bundles begin with."""
    from monai.transforms import Invertd

    if len(steps) < 3 or not (_is_softmax(steps[0]) and _is_argmax(steps[2]) and type(steps[1]) is Invertd):
        return ()
    return steps[:3] if tuple(steps[1].keys) == (PRED,) and steps[1].post_func == (None,) else ()


def _inverted_choice(steps: Sequence[Any], data: Data, progress: Progress) -> Data:
    """Do what softmax, invert and argmax do, a few classes at a time: the inverted outputs of all are never held."""
    softmax, invert, _ = steps
    shares = _applied(softmax, data, "postprocessing")[PRED].as_tensor()
    chunk = max(1, _CHUNK_BYTES // (4 * _voxels(shares, data[IMAGE])))

    def inverted(first: int) -> Any:
        progress(first / len(shares), "bringing the result back onto the image")
        part = _like(shares[first : first + chunk], data[IMAGE])
        return _applied(invert, {**data, PRED: part}, "postprocessing")[PRED]

    result = inverted(0)
    best, choice = result.as_tensor().max(0, keepdim=True)
    for first in range(chunk, len(shares), chunk):
        most, index = inverted(first).as_tensor().max(0, keepdim=True)
        choice = torch.where(most > best, index + first, choice)
        best = torch.maximum(most, best)
    return {**data, PRED: type(result)(choice.float(), meta=result.meta)}


def _voxels(outputs: torch.Tensor, image: Any) -> int:
    """Return how many voxels the larger of the network's grid and the image's has."""
    original = image.meta.get("spatial_shape", ()) if hasattr(image, "meta") else ()
    return max(outputs[0].numel(), math.prod(int(n) for n in original))


def _is_softmax(step: Any) -> bool:
    from monai.transforms import Activationsd

    if type(step) is not Activationsd or tuple(step.keys) != (PRED,) or step.converter.kwargs:
        return False
    return bool(step.softmax[0]) and not step.sigmoid[0] and step.other[0] is None


def _is_argmax(step: Any) -> bool:
    from monai.transforms import AsDiscreted

    if type(step) is not AsDiscreted or tuple(step.keys) != (PRED,) or step.converter.kwargs:
        return False
    return bool(step.argmax[0]) and (step.to_onehot[0], step.threshold[0], step.rounding[0]) == (None, None, None)


def _applied(step: Callable[[Data], Data], data: Data, name: str) -> Data:
    from monai.transforms import apply_transform

    try:
        return apply_transform(step, data, map_items=False)  # type: ignore[no-any-return]
    except RuntimeError as fault:
        raise Failed(f"the bundle's {name} broke at {type(step).__name__}: {_first_line(fault)}") from fault


def _like(outputs: torch.Tensor, image: Any) -> Any:
    """Give outputs the place and history of the image, as MONAI's inferers do."""
    from monai.data import MetaTensor

    tensor = MetaTensor(outputs)
    return tensor.copy_meta_from(image) if isinstance(image, MetaTensor) else tensor


def _first_line(fault: BaseException) -> str:
    while fault.__cause__ is not None:
        fault = fault.__cause__
    return (str(fault).strip() or type(fault).__name__).splitlines()[0][:300]
