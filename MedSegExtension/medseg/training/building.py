"""The network of a training, its first weights, and the optimiser."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch

from medseg.errors import BadInput
from medseg.inference import networks
from medseg.registrars import pair_networks
from medseg.training.config import Optimiser, TrainingConfig
from medseg.training.seeds import seed_of

_DROPOUT_NAMES = ("dropout", "dropout_rate", "dropout_prob", "drop_rate")


def arguments(config: TrainingConfig) -> dict[str, Any]:
    """Return the arguments of the network: those given, and what follows from the rest of the configuration.

    Raises:
        BadInput: if the network has no dropout and some is asked for.
    """
    if config.registers:
        return dict(config.network.get("arguments", {}))
    name = str(config.network["class"])
    taken = inspect.signature(networks.network_class(name)).parameters
    follows = {
        "spatial_dims": len(config.patch),
        "in_channels": len(config.inputs),
        "out_channels": config.classes,
        "img_size": list(config.patch),
    }
    told = {key: value for key, value in follows.items() if key in taken}
    return {**told, **_dropout(config, list(taken)), **config.network.get("arguments", {})}


def _dropout(config: TrainingConfig, taken: list[str]) -> dict[str, float]:
    if "dropout" not in config.network:
        return {}
    for name in _DROPOUT_NAMES:
        if name in taken:
            return {name: float(config.network["dropout"])}
    raise BadInput(f"network {config.network['class']} takes no dropout; remove network/dropout")


def untrained(config: TrainingConfig, member: int = 0) -> torch.nn.Module:
    """Build the network with first weights drawn from the seed of this ensemble member."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(config.seed, "weights", member))
        build = pair_networks.build if config.registers else networks.architecture
        return build(str(config.network["class"]), arguments(config))


def optimiser(chosen: Optimiser, network: torch.nn.Module) -> torch.optim.Optimizer:
    """Build the optimiser over the weights that are not frozen."""
    parameters = list(_trainable(network))
    rate, decay = chosen.learning_rate, chosen.weight_decay
    if chosen.name == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=chosen.momentum, weight_decay=decay, nesterov=True)
    kind = torch.optim.AdamW if chosen.name == "adamw" else torch.optim.Adam
    return kind(parameters, rate, weight_decay=decay)


def _trainable(network: torch.nn.Module) -> Iterator[torch.nn.Parameter]:
    return (parameter for parameter in network.parameters() if parameter.requires_grad)
