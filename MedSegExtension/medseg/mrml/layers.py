"""Label maps of many segments, each its own or shared, put together into as few as hold them without overlap."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from medseg.geometry import Geometry

Labels = npt.NDArray[np.integer]
Where = tuple[slice, ...]


class Layers:
    """Label maps on one grid; what is added goes into the first one in which it overlaps nothing."""

    def __init__(self, grid: Geometry) -> None:
        """Begin with nothing on a grid."""
        self._grid = grid
        self._layers: list[Labels] = []
        self._values: list[list[int]] = []

    def add(self, labels: Labels, where: Where, values: Iterable[int]) -> tuple[int, dict[int, int]]:
        """Add the voxels of some values.

        Args:
            labels: a crop of a label map, shape (k, j, i); values not asked for are left out.
            where: where the crop lies on the grid, as slices of (k, j, i).
            values: the values to take, all above 0.

        Returns:
            The layer they went into, and for each value the one that stands for it there: the same where it was free.
        """
        wanted = list(values)
        layer = next((n for n in range(len(self._layers)) if not self._touches(n, labels, where, wanted)), None)
        if layer is None:
            layer = len(self._layers)
            self._layers.append(np.zeros(self._grid.shape, np.uint8))
            self._values.append([])
        renamed = _renamed(wanted, self._values[layer])
        self._values[layer] += renamed.values()
        self._write(layer, labels, where, renamed)
        return layer, renamed

    def image(self) -> sitk.Image:
        """Return the label image: scalar if there is one layer or none, a vector of layers otherwise."""
        widest = np.result_type(np.uint8, *self._layers)
        images = [self._grid.image(layer.astype(widest, copy=False)) for layer in self._layers]
        if not images:
            return self._grid.image(np.zeros(self._grid.shape, np.uint8))
        return images[0] if len(images) == 1 else sitk.Compose(images)

    def _touches(self, layer: int, labels: Labels, where: Where, values: list[int]) -> bool:
        table = _table(dict.fromkeys(values, 1), np.dtype(np.uint8))
        there = self._layers[layer][where]
        # slice by slice, so that nothing the size of a volume is made on the way
        return any(np.any(_looked_up(table, new) & (old != 0)) for new, old in zip(labels, there, strict=True))

    def _write(self, layer: int, labels: Labels, where: Where, renamed: dict[int, int]) -> None:
        held = self._layers[layer]
        wide = np.promote_types(held.dtype, np.min_scalar_type(max(renamed.values(), default=0)))
        self._layers[layer] = held = held.astype(wide, copy=False)
        table, target = _table(renamed, wide), held[where]
        for new, old in zip(labels, target, strict=True):
            # they do not overlap, so one of the two is 0
            np.bitwise_or(old, _looked_up(table, new), out=old)


def _renamed(values: list[int], taken: list[int]) -> dict[int, int]:
    """Return what each value is called where others are taken: the same if free, else the next above all of them.

    >>> _renamed([1, 2], [2, 5])
    {1: 1, 2: 6}
    """
    used, renamed = set(taken), {}
    for value in sorted(set(values)):
        renamed[value] = value if value not in used else max(used | set(values)) + 1
        used.add(renamed[value])
    return renamed


def _table(renamed: dict[int, int], dtype: np.dtype[np.generic]) -> Labels:
    """Return a look-up table from old to new value; it ends in 0, where too large values are clipped to."""
    table = np.zeros(max(renamed, default=0) + 2, dtype)
    table[list(renamed)] = list(renamed.values())
    return table


def _looked_up(table: Labels, labels: Labels) -> Labels:
    return np.take(table, labels, mode="clip")
