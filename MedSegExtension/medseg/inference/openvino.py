"""OpenVINO as the runtime of a torch network on a CPU: the same network, compiled for this processor."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from typing import Any

import torch


def _silenced() -> Any:
    """Import OpenVINO without its telemetry, which reports every import to its vendor over the network.

    It falls back to a stub where its telemetry package cannot be imported; `None` in `sys.modules` makes it so.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


def installed() -> bool:
    """Whether the optional package is there."""
    return importlib.util.find_spec("openvino") is not None


class CompiledNetwork:
    """A torch network compiled by OpenVINO, once for each shape of input it meets."""

    def __init__(self, network: torch.nn.Module, half: bool) -> None:
        """Take a network in evaluation mode; `half` computes in bfloat16 (for processors that have it)."""
        self._network, self._half = network, half
        self._compiled: dict[tuple[int, ...], Any] = {}

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Run on a float32 batch of shape (batch, channels, i, j, k); returns the first output, float32."""
        shape = tuple(inputs.shape)
        if shape not in self._compiled:
            self._compiled[shape] = self._compile(inputs)
        request = self._compiled[shape]
        request.infer([inputs.contiguous().numpy()], share_inputs=True)
        # the request's output buffer is written again by the next window
        return torch.from_numpy(request.get_output_tensor(0).data.copy())

    def _compile(self, inputs: torch.Tensor) -> Any:
        openvino = _silenced()
        with warnings.catch_warnings():  # tracing warns of sizes taken as constants, as they are meant to be here
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
            model = openvino.convert_model(self._network, example_input=inputs, input=[list(inputs.shape)])
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if self._half else "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        return openvino.compile_model(model, "CPU", options).create_infer_request()
