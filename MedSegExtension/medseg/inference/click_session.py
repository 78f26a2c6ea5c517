"""Sessions answered by our promptable network: click, and the structure there is found or the mask made right.

Each click is looked at in a cube around it. A first click is looked at in cubes of every width, and the answer taken
that the network is sure of and that two widths agree on. A correction is looked at as widely as the click lies deep in
what is wrong; where the answer runs into a face of the cube, in one twice as wide. Where an answer is small, a narrower
cube has the last word (the idea of the zoom of nnInteractive, Isensee et al. 2025).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage

from medseg.correction.patch import changed_box
from medseg.geometry import Geometry
from medseg.inference import networks
from medseg.inference.click_channels import Click, begun, clicked, disputed, rescaled
from medseg.inference.click_look import Look, best_of, distance_to, level_of
from medseg.inference.click_places import places_of
from medseg.inference.click_regions import solid, union, voxel, within
from medseg.inference.click_view import Floats, Region, View
from medseg.inference.device import Device, choose
from medseg.interactive.marks import Marks, marks_of
from medseg.interactive.on_image import check_mask, check_values, place_of
from medseg.model_card import ModelCard
from medseg.progress import Progress
from medseg.prompt import Prompt
from medseg.segmentation import Mask
from medseg.segmenter import InteractiveSession

_MOST_CLICKS = 12
_WIDER = 2.0
_MOST_TURNS = 5
_SMALL, _COMFORTABLE = 14, 28
_FINEST = 0.5
_AROUND = 1.3
_HALF = 0.5
_REACH, _OWN_REACH, _LEAST_REACH = 2.0, 3.5, 4.0
_DEPTH = 4.0
_APART = 0.25
_SAME = 0.6


def open_clicks(card: ModelCard, weights: Path, device: str) -> ClickSegmenter:
    """Load the network of a card whose `prompts` are not empty."""
    chosen = choose(device)
    return ClickSegmenter(card, networks.build(card, weights).to(chosen.device), chosen)


@dataclass(frozen=True, eq=False)
class ClickSegmenter:
    """Opens sessions on one network."""

    card: ModelCard
    network: torch.nn.Module
    device: Device

    @contextmanager
    def open(self, image: sitk.Image, progress: Progress) -> Iterator[InteractiveSession]:
        """Begin on an image, 2D or 3D, with an empty mask."""
        progress(0.0, "reading the image")
        yield ClickSession(image, self)
        progress(1.0, "done")

    def logits(self, channels: torch.Tensor) -> Floats:
        """Return by how much each voxel of a cube is for the structure, of channels (6, n, n, n)."""
        dtype = self.device.fastest_dtype()
        where = self.device.device
        with torch.inference_mode(), torch.autocast(where.type, dtype=dtype, enabled=dtype != torch.float32):
            found = self.network(channels[None].to(where))[0].float().cpu()
        return np.asarray((found[1] - found[0]).numpy(), np.float32)


class ClickSession:
    """One image, its mask as it stands, and the clicks so far."""

    def __init__(self, image: sitk.Image, how: ClickSegmenter) -> None:
        """Begin with an empty mask.

        Raises:
            BadInput: if the image is all of one value.
        """
        self._grid = Geometry.of(image)
        flat = self._grid.dimension == 2
        values = sitk.GetArrayFromImage(image).astype(np.float32)
        check_values(values)
        self._values = values[None] if flat else values
        spacing = self._grid.spacing[::-1]
        self._spacing = (min(spacing), *spacing) if flat else spacing
        self._how = how
        self._shown = functools.lru_cache(maxsize=8)(self._cube_of)
        self._mask = np.zeros(self._values.shape, bool)
        self._seeded = False
        self._said = np.zeros(self._values.shape, np.int8)
        self._clicks: list[Click] = []
        self._looks: dict[View, Look] = {}

    def seed(self, mask: sitk.Image) -> None:
        """Start over from an existing mask on the image's grid; prompts so far are forgotten.

        Raises:
            BadInput: if it lies on another grid.
        """
        check_mask(mask, self._grid)
        self._mask = (sitk.GetArrayFromImage(mask) != 0).reshape(self._values.shape)
        self._seeded = bool(self._mask.any())
        self._said[...] = 0
        self._clicks = []

    def edit(self, crop: sitk.Image) -> None:
        """Take over a part of the mask that somebody else has changed; prompts that it contradicts are forgotten.

        Raises:
            BadInput: if it does not lie on the image's voxels.
        """
        where = (slice(0, 1),) * (3 - self._grid.dimension) + place_of(crop, self._grid)
        edited = (sitk.GetArrayFromImage(crop) != 0).reshape(self._mask[where].shape)
        self._mask[where] = edited
        self._seeded = True  # what somebody drew is not this session's to change freely
        said = self._said[where]
        said[(said == 1) & ~edited | (said == -1) & edited] = 0
        self._clicks = [click for click in self._clicks if self._said[voxel(click)] != 0]

    def prompt(self, prompt: Prompt) -> sitk.Image:
        """Take a prompt and return the crop of the mask that changed (uint8, carries its own origin).

        Where nothing changed, the crop is what the prompt marked.

        Raises:
            BadInput: if the prompt lies outside the image.
        """
        marks = solid(marks_of(prompt, self._grid), len(self._values.shape))
        sign = 1 if prompt.positive else -1
        self._said[marks.where][marks.seeds] = sign
        if not marks.limit:
            self._said[marks.where][marks.outside] = -sign
        self._clicks += [Click(place, prompt.positive) for place in places_of(marks)]
        self._looks.clear()  # they were of another mask and other clicks
        return self._edited(marks, self._best(marks, prompt.positive), prompt.positive)

    def _best(self, marks: Marks, positive: bool) -> Look:
        """Look at all resolutions, for the first click on something, or at that which a correction needs."""
        depth = self._depth(marks, positive)
        first = positive and depth > _APART * self._count * self._first_step(marks)
        look = best_of(self._pyramid(marks)) if first else self._widened(marks, depth, positive)
        if look.cut_off:
            return look
        look = self._narrowed(marks, look, positive)
        return look if marks.limit else self._closer(marks, look, positive)

    def _pyramid(self, marks: Marks) -> list[Look]:
        """Look at cubes each twice as wide as the one before, up to all of the image."""
        step, looks = self._first_step(marks), list[Look]()
        while len(looks) < _MOST_TURNS and not (looks and looks[-1].view.whole()):
            looks.append(self._look(marks, self._view(step), True))
            step *= _WIDER
        return looks

    def _widened(self, marks: Marks, depth: float, positive: bool) -> Look:
        """Widen the cube until the answer fits."""
        step = max(self._first_step(marks), depth / _DEPTH if np.isfinite(depth) else 0.0)
        look = self._look(marks, self._view(step), positive)
        for _ in range(_MOST_TURNS):
            if not look.cut_off:
                break
            step *= _WIDER
            look = self._look(marks, self._view(step), positive)
        return look

    def _narrowed(self, marks: Marks, look: Look, positive: bool) -> Look:
        """Narrow the cube as long as it shows the same, for then it shows it better."""
        finest = self._first_step(marks)
        while look.view.step > finest:
            closer = self._look(marks, self._view(max(finest, look.view.step / _WIDER)), positive)
            if closer.cut_off or closer.agreement(look) < _SAME:
                break
            look = closer
        return look

    def _depth(self, marks: Marks, positive: bool) -> float:
        """Return how far in mm the click lies from the border of the mask: half the width of what is wrong, or less.

        Infinite where no border is near enough to be seen.
        """
        if positive and not self._mask.any():
            return float("inf")
        step = self._first_step(marks)
        for _ in range(_MOST_TURNS):
            view = self._view(step)
            before, seeds = view.seen(self._mask) > _HALF, self._seeds(marks, view)
            away = distance_to(before if positive else ~before, seeds)
            if away <= self._count / 2:
                return away * step
            step *= _WIDER
        return float("inf")

    def _first_step(self, marks: Marks) -> float:
        """Return the finest voxels of the image, or larger ones where what was drawn would not fit."""
        drawn = max((s.stop - s.start) * d for s, d in zip(marks.where, self._spacing, strict=True))
        return float(max(min(self._spacing), _AROUND * drawn / self._count))

    def _closer(self, marks: Marks, look: Look, positive: bool) -> Look:
        """Look once more through a narrower cube where the answer is small."""
        if not 0 < look.extent < _SMALL:
            return look
        step = max(_FINEST * min(self._spacing), look.view.step * look.extent / _COMFORTABLE)
        closer = self._look(marks, self._view(step), positive)
        return look if closer.cut_off else closer

    @property
    def _count(self) -> int:
        return int(self._how.card.inference.window[0])

    def _view(self, step: float) -> View:
        i, j, k = self._values.shape
        a, b, c = self._spacing
        return View((i, j, k), (a, b, c), self._clicks[-1].place, step, self._count)

    def _cube_of(self, view: View) -> torch.Tensor:
        return rescaled(torch.from_numpy(view.seen(self._values)))

    def _look(self, marks: Marks, view: View, positive: bool) -> Look:
        """Ask the network once for each cube of a prompt: narrowing comes by where widening has been."""
        if view not in self._looks:
            self._looks[view] = self._looked(marks, view, positive)
        return self._looks[view]

    def _looked(self, marks: Marks, view: View, positive: bool) -> Look:
        before = view.seen(self._mask) > _HALF
        logits = self._how.logits(self._channels(view, before))
        seeds = self._seeds(marks, view)
        level = level_of(logits[seeds], positive)
        reach = self._reach(before, seeds, positive)
        found = disputed(before & ~seeds if positive else before | seeds, (logits > level), seeds, positive)
        return Look(view, logits if positive else -logits, level, (found & reach) | seeds)

    def _changed(self, look: Look, region: Region, positive: bool) -> Mask:
        """Return which voxels of a region of the image change."""
        near = look.view.nearest(ndimage.binary_dilation(look.answer, np.ones((3, 3, 3))), region)
        logits = look.view.back(look.logits, region)
        if positive:
            return np.asarray(near & (logits > look.level) & ~self._mask[region])
        return np.asarray(near & (-logits <= look.level) & self._mask[region])

    def _reach(self, before: Mask, seeds: Mask, positive: bool) -> Mask:
        """Return how far a click may change the mask: a few times as far as it lies from its border.

        A reader clicks in the middle of what is wrong. What lies much farther away than the border of the mask was not
        meant, whatever the network thinks of it; so a mask that is good elsewhere stays so. A mask that was handed in
        is held to more firmly than what this session has found itself.
        """
        nearest = distance_to(before if positive else ~before, seeds)
        if not (self._mask.any() and np.isfinite(nearest)):
            return np.ones_like(before)
        reach = _REACH if self._seeded else _OWN_REACH
        return np.asarray(ndimage.distance_transform_edt(~seeds) <= max(_LEAST_REACH, reach * nearest))

    def _channels(self, view: View, before: Mask) -> torch.Tensor:
        channels = begun(self._shown(view), torch.from_numpy(before))
        placed = [Click(view.to_cube(click.place), click.positive) for click in self._clicks]
        inside = [click for click in placed if all(0 <= p <= self._count - 1 for p in click.place)]
        return clicked(channels, *inside[-_MOST_CLICKS:])

    def _seeds(self, marks: Marks, view: View) -> Mask:
        """Return the voxels of the cube that hold places that were pointed at."""
        seeds = np.zeros((self._count,) * 3, bool)
        for place in places_of(marks):
            i, j, k = (int(np.clip(round(p), 0, self._count - 1)) for p in view.to_cube(place))
            seeds[i, j, k] = True
        return seeds

    def _edited(self, marks: Marks, look: Look, positive: bool) -> sitk.Image:
        region = look.view.region_of(look.box)
        changed = self._changed(look, region, positive) & ~(self._said[region] == (-1 if positive else 1))
        if marks.limit:
            changed &= within(marks, region)
        where = union(region, marks.where)
        old = self._mask[where].copy()
        self._mask[region] ^= changed
        self._mask[marks.where][marks.seeds] = positive
        return self._crop(where, old)

    def _crop(self, where: Region, old: Mask) -> sitk.Image:
        new = self._mask[where]
        box = changed_box(old.view(np.uint8), np.ascontiguousarray(new).view(np.uint8), 3)
        box = box or tuple(slice(0, 1) for _ in where)
        start = [w.start + b.start for w, b in zip(where, box, strict=True)][-self._grid.dimension :]
        array = new[box].astype(np.uint8)
        array = array[0] if self._grid.dimension == 2 else array
        return self._grid.crop(start[::-1], array.shape[::-1]).image(array)
