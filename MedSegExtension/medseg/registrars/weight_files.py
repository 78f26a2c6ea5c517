"""Weights on the user's disk: tensors by name, of which no code is run."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from medseg.errors import BadInput

State = Mapping[str, torch.Tensor]


def read(path: Path) -> State:
    """Read a state dictionary in PyTorch's format or safetensors.

    Raises:
        BadInput: if the file is missing, can run code, or holds something else.
    """
    if not path.is_file():
        raise BadInput(f"{path} does not exist; give the file of the network's weights with --weights")
    try:
        if path.suffix == ".safetensors":
            state: State = load_file(str(path))
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, SafetensorError, EOFError, ValueError) as fault:
        raise BadInput(f"{path} cannot be read as weights (or holds more than weights, which is refused)") from fault
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise BadInput(f"{path} holds something else than a dictionary of weights")
    return state


def fill(network: torch.nn.Module, state: State, path: Path, name: str) -> torch.nn.Module:
    """Put weights into a network, as float32; returns it, ready to be run.

    Raises:
        BadInput: if they are of another network; `path` and `name` are what to call file and network.
    """
    try:
        network.load_state_dict({key: value.float() for key, value in state.items()})
    except RuntimeError as fault:
        reason = str(fault).strip().splitlines()[-1].strip()
        raise BadInput(f"{path} holds weights of another network than {name} ({reason})") from fault
    return network.eval()
