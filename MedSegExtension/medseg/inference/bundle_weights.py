"""Reading weights that others saved, without running what a pickle may hold."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import torch

from medseg.errors import BadInput

State = Mapping[str, torch.Tensor]

# where training programs keep the network in a checkpoint
_KEYS = ("model", "network", "net", "state_dict", "model_state_dict", "network_state_dict", "network_weights")


def read_checkpoint(path: Path) -> Any:
    """Read a file saved by `torch.save`, refusing whatever is not tensors, numbers, text and their containers.

    Raises:
        BadInput: if the pickle would call anything else, or the file is damaged or a TorchScript.
    """
    try:
        with torch.serialization.safe_globals(_numpy_numbers()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as fault:
        raise BadInput(
            f"weights {path} are refused: unpickling them would run code, or they are damaged ({_reason(fault)}); "
            "ask their authors for safetensors, or for a state dict that torch.load reads with weights_only=True"
        ) from fault
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as fault:
        if isinstance(fault, OSError) and not path.is_file():
            raise BadInput(f"weights {path} are missing; download the model again") from fault
        raise BadInput(f"weights {path} cannot be read ({_reason(fault)}); download the model again") from fault


def read_state(path: Path, keys: Sequence[str] = ()) -> State:
    """Return the tensors of one network from a `.safetensors` file or a checkpoint.

    Args:
        path: the file.
        keys: where in the checkpoint the network may lie, tried before the usual places.

    Raises:
        BadInput: if the file is unsafe or damaged, or holds no network.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    checkpoint = read_checkpoint(path)
    if isinstance(checkpoint, Mapping):
        for state in (*(checkpoint.get(key) for key in (*keys, *_KEYS)), checkpoint):
            if _is_state(state):
                return _unwrapped(state)
    raise BadInput(f"weights {path} hold no network: expected a state dict, plain or under one of {', '.join(_KEYS)}")


def fill(network: torch.nn.Module, state: State, path: Path) -> None:
    """Load weights into a network.

    Raises:
        BadInput: if they are of another network; the message lists the first keys that do not fit.
    """
    own = network.state_dict()
    counted = [key for key in own if key.endswith("num_batches_tracked")]  # not used to predict, old files lack them
    missing = [key for key in own if key not in state and key not in counted]
    unknown = [key for key in state if key not in own]
    both = [(key, state[key].shape, value.shape) for key, value in own.items() if key in state]
    shapes = [f"{key} {[*found]} for {[*wanted]}" for key, found, wanted in both if found != wanted]
    if missing or unknown or shapes:
        faults = {"missing": missing, "unknown": unknown, "of another shape": shapes}
        listed = "; ".join(f"{len(keys)} {what}: {', '.join(keys[:3])}" for what, keys in faults.items() if keys)
        raise BadInput(f"weights {path} are of another network than {type(network).__name__} ({listed})")
    network.load_state_dict({key: state.get(key, value) for key, value in own.items()})


def _numpy_numbers() -> list[Any]:
    """Let numpy's numbers and arrays of numbers through, which trainers leave in checkpoints: they are data."""
    import numpy as np

    scalar, rebuild = np.float64(0).__reduce__()[0], np.zeros(1).__reduce__()[0]
    # files written under numpy 1 name the same functions by their old place
    old = [(scalar, "numpy.core.multiarray.scalar"), (rebuild, "numpy.core.multiarray._reconstruct")]
    dtypes = {type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"}
    return [scalar, rebuild, *old, np.ndarray, np.dtype, *dtypes]


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: State = load_file(path)
    except (SafetensorError, FileNotFoundError) as fault:
        raise BadInput(f"weights {path} are not a whole safetensors file ({fault}); download them again") from fault
    return state


def _is_state(value: object) -> TypeGuard[State]:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(v, torch.Tensor) for v in value.values())


def _unwrapped(state: State) -> State:
    """Take off the prefix that training on several GPUs puts before every key."""
    wrapped = all(key.startswith("module.") for key in state)
    return {key.removeprefix("module."): value for key, value in state.items()} if wrapped else state


def _reason(fault: BaseException) -> str:
    lines = [line for line in str(fault).strip().splitlines() if line.strip()] or [type(fault).__name__]
    named = [line for line in lines if "GLOBAL" in line or "nsupported" in line]
    return (named or lines)[0].strip()[:200]
