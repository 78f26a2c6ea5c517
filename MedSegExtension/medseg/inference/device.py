"""Which device runs the network, and why."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from medseg.errors import BadInput


@dataclass(frozen=True)
class Device:
    """A device and the reason it was chosen, in words."""

    device: torch.device
    reason: str

    @property
    def name(self) -> str:
        """E.g. "cuda:0 (NVIDIA H200)" or "cpu"."""
        if self.device.type != "cuda":
            return str(self.device)
        return f"{self.device} ({torch.cuda.get_device_name(self.device)})"

    def fastest_dtype(self) -> torch.dtype:
        """Half precision where the hardware computes in it, float32 elsewhere (where emulation would be slower)."""
        if self.device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        return torch.bfloat16 if cpu_has_bfloat16() else torch.float32


def cpu_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware (AVX512-BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def choose(wanted: str) -> Device:
    """Resolve "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        BadInput: for any other text, or if the GPU asked for cannot be used; the message says why.
    """
    if wanted == "cpu":
        return Device(torch.device("cpu"), "the CPU was asked for")
    why_not = why_no_gpu()
    if wanted == "auto":
        return Device(torch.device("cuda:0"), "a GPU works") if not why_not else Device(torch.device("cpu"), why_not)
    kind, _, number = wanted.partition(":")
    if kind != "cuda" or not (number.isdigit() or not number):
        raise BadInput(f"unknown device {wanted!r}; use auto, cpu, cuda or cuda:NUMBER")
    if why_not:
        raise BadInput(f"device {wanted!r} cannot be used: {why_not}. Use --device cpu, or auto")
    if int(number or 0) >= torch.cuda.device_count():
        raise BadInput(f"there is no {wanted!r}: this machine has {torch.cuda.device_count()} GPU(s), counted from 0")
    return Device(torch.device(f"cuda:{number or 0}"), "it was asked for")


def why_no_gpu() -> str:
    """Return why no GPU can be used, or "" if one runs a real kernel."""
    if torch.version.cuda is None and torch.version.hip is None:
        return f"this PyTorch ({torch.__version__}) is built without GPU support"
    if not torch.cuda.is_available():
        return "PyTorch finds no GPU: none is present, or its driver is missing or too old"
    try:
        ones = torch.ones((8, 1, 8, 8, 8), device="cuda:0")
        torch.nn.functional.conv3d(ones, ones[:1, :, :3, :3, :3]).sum().item()
    except RuntimeError as fault:
        return f"the GPU is there but fails to compute: {str(fault).splitlines()[0]}"
    return ""


def empty_cache() -> None:
    """Return the GPU memory that PyTorch keeps for later to the system; nothing where no GPU was used."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
