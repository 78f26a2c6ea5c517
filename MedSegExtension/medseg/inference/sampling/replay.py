"""A network run again and again on one window: what dropout does not reach is computed once.

In the first run each of the largest parts of the network without active dropout keeps its inputs and outputs, as long
as no mask was met, or if its inputs come from such parts alone. In later runs a part whose inputs are the same again
hands out what it kept. So nothing need be known of how the network is wired: the encoder is found by itself. Where a
convolution takes channels that are known joined with some that are not (see `joining`), it computes the latter alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from medseg.inference.sampling.joining import Joining, Parts, convolved, fill_in, parts_of, splits, tensors

_CONTAINERS = (nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True, eq=False)
class _Kept:
    inputs: tuple[Any, ...]
    output: Any
    versions: tuple[int, ...]

    @classmethod
    def of(cls, inputs: tuple[Any, ...], output: Any) -> _Kept:
        return cls(inputs, output, _versions((inputs, output)))

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield what the part took and gave."""
        return tensors((self.inputs, self.output))

    def serves(self, inputs: tuple[Any, ...]) -> bool:
        """Whether nothing was written into what was kept, and the inputs are the same."""
        intact = self.versions == _versions((self.inputs, self.output))
        return intact and _same(inputs, self.inputs)


class _Memory(dict[tuple[int, int], _Kept]):
    """What is kept of each call of each part, and whether a mask was met in this run.

    An object of its own, so that `Joining` can ask it: were it to ask the replay, which holds it, the two would outlive
    their window until Python looks for cycles, and hundreds of megabytes with them.
    """

    masked = False

    def knows(self, tensor: torch.Tensor) -> bool:
        """Whether this very tensor was taken or given by a part that is kept."""
        return any(tensor is each for kept in self.values() for each in kept.tensors())

    def knows_again(self, tensor: torch.Tensor) -> bool:
        """Whether it is known, and what follows is not known any more."""
        return self.masked and self.knows(tensor)


class Replay:
    """One network and one window; what is kept goes with this object."""

    def __init__(self, network: nn.Module, active: set[nn.Module]) -> None:
        """Name the dropout layers that are active while it is used."""
        self._network, self._parts, self._active = network, list(_parts(network, active)), active
        self._kept, self._begun = _Memory(), False
        self._calls: dict[int, int] = {}
        self._joining = Joining(self._kept.knows_again)

    def __call__(self, images: torch.Tensor) -> Any:
        """Run the network on the window; `images` must be the same each time."""
        self._calls = dict.fromkeys(range(len(self._parts)), 0)
        self._kept.masked = False
        # what is written to in place can be told by its version, which inference tensors have not
        with self._intercepted(), torch.inference_mode(False), torch.no_grad(), self._joining:
            found = self._network(images)
        fill_in(found)
        self._begun = True
        return found

    @contextmanager
    def _intercepted(self) -> Iterator[None]:
        # an attribute of the object hides the method of its class
        for number, part in enumerate(self._parts):
            vars(part)["forward"] = partial(self._forward, number, part.forward)
        for layer in self._active:
            vars(layer)["forward"] = partial(self._mask, layer.forward)
        try:
            yield
        finally:
            for part in (*self._parts, *self._active):
                del vars(part)["forward"]

    def _mask(self, compute: Callable[..., Any], *args: Any) -> Any:
        self._kept.masked = True
        return compute(*args)

    def _forward(self, number: int, compute: Callable[..., Any], *args: Any, **options: Any) -> Any:
        key, inputs = (number, self._calls[number]), (args, options)
        self._calls[number] += 1
        if len(args) == 1 and not options and (parts := parts_of(args[0])) and splits(self._parts[number]):
            with self._joining.resting():
                return self._added(key, parts)
        fill_in(inputs)
        known = self._kept.get(key)
        if known and known.serves(inputs):
            return known.output
        output = compute(*args, **options)
        if not self._begun and (not self._kept.masked or self._is_clean(inputs)):
            self._kept[key] = _Kept.of(inputs, output)
        return output

    def _added(self, key: tuple[int, int], parts: Parts) -> torch.Tensor:
        """Return a convolution of joined channels: what the known ones make, kept, and what the others add."""
        module, told = self._parts[key[0]], [self._kept.knows(tensor) for tensor in parts]
        inputs = (tuple(t for t, known in zip(parts, told, strict=True) if known), told)
        kept = self._kept.get(key)
        if not kept or not kept.serves(inputs):
            kept = self._kept[key] = _Kept.of(inputs, convolved(module, parts, told, with_bias=True))
        changing = convolved(module, parts, [not known for known in told], with_bias=False)
        base: torch.Tensor = kept.output
        return changing.add_(base)

    def _is_clean(self, inputs: Any) -> bool:
        """Whether no mask is in these inputs: all of them were seen by parts, or came from parts, that are kept."""
        return all(map(self._kept.knows, tensors(inputs)))


def _parts(module: nn.Module, active: set[nn.Module]) -> Iterator[nn.Module]:
    """Yield the largest parts that are called as such and hold no active dropout."""
    holds = any(inner in active for inner in module.modules())
    if not holds and not isinstance(module, _CONTAINERS):
        yield module
        return
    for child in module.children():
        if child not in active:
            yield from _parts(child, active)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        # comparing costs next to nothing beside a convolution, and finds what was joined anew from the same halves
        return one is other or (one.shape == other.shape and torch.equal(one, other))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return one is other or (isinstance(one, int | float | str) and one == other)


def _versions(value: Any) -> tuple[int, ...]:
    return tuple(tensor._version for tensor in tensors(value))
