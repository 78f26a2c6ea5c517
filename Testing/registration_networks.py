"""Registration networks of our own with weights made by hand."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from medseg.registrars import pair_networks

SPACING = 6.0
ARGUMENTS = {"channels": [2, 2]}


def run_of(
    folder: Path, state: Mapping[str, torch.Tensor] | None = None, orientation: str = "", **changes: Any
) -> Path:
    """Return the folder of a finished training, with these weights; without any the network moves nothing."""
    own = pair_networks.build("VelocityUNet", ARGUMENTS).state_dict()
    save_file(state or {name: torch.zeros_like(value) for name, value in own.items()}, folder / "weights.safetensors")
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    card = {
        "schema_version": 1, "name": "heads", "version": "1", "title": "Heads", "description": "Registers heads",
        "engine": "registration", "license": "MIT", "source": "a test", "intended_use": "Research", "segments": [],
        "inputs": [{"name": "MR"}], "weights": [{"file": "weights.safetensors", "sha256": digest}],
        "network": {"class": "VelocityUNet", "arguments": ARGUMENTS},
        "preprocessing": {"orientation": orientation, "spacing": [SPACING] * 3}, "inference": {"window": [32, 32, 32]},
    }  # fmt: skip
    (folder / "card.json").write_text(json.dumps({**card, **changes}))
    return folder
