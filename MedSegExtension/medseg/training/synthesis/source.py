"""Images drawn from label maps as the data of a training (`data/source: label_maps`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from medseg.errors import BadInput
from medseg.progress import Progress
from medseg.training.config import TrainingConfig
from medseg.training.samples import Data, Nothing, Sample, Samples
from medseg.training.synthesis import contrast, label_map
from medseg.training.synthesis.generator import Recipe, draw
from medseg.training.synthesis.label_map import LabelMap
from medseg.training.synthesis.labelling import Labelling, as_they_are, labelling
from medseg.training.synthesis.resolution import Resolution
from medseg.training.synthesis.space import Deformation

_OWN = ("parts", "validation", "test", "images", "merged", "readers")


class DrawnImages:
    """Images drawn from label maps; map n is behind the indices n, n + maps, n + 2 maps, ..."""

    def __init__(
        self, maps: Sequence[LabelMap], recipe: Recipe, images: int = 1, taught: Labelling = as_they_are
    ) -> None:
        """Take label maps, how images are drawn from them, how many each stands for, and what is taught of them."""
        self._maps, self._recipe, self._images = tuple(maps), recipe, images
        self._taught = taught

    def __len__(self) -> int:
        """How many images one pass draws."""
        return len(self._maps) * self._images

    def sample(self, index: int, generator: torch.Generator) -> Sample:
        """See `medseg.training.samples.Samples`."""
        drawn = draw(self._maps[index % len(self._maps)], self._recipe, generator)
        return Sample(drawn.image, self._taught(drawn.labels, generator))


def open_label_maps(config: TrainingConfig, _folder: Path, _fold: int, progress: Progress) -> Data:
    """Open the label maps that a configuration names.

    `data/folder` holds FreeSurfer label maps (`*.nii.gz`). `data/options`: `parts`, the folder that
    `medseg.training.synthesis.prepare` wrote; `validation` and `test`, the names of label maps held back (without
    `.nii.gz`), and `images` drawn from each of those; `merged`, a group of parts for each segment value from 1 on
    (names of `parts.GROUPS`, or of single parts), or `readers`, those of `readers.NAMES` of whom one is drawn for each
    image; the fields of `Recipe`, as far as they differ from its defaults.

    Raises:
        BadInput: if label maps are missing or unprepared, or an option is unknown.
    """
    options = config.data.options
    recipe = recipe_of(options, config.patch)
    found = {
        path.name.removesuffix(".nii.gz"): path for path in sorted(_from(config, config.data.folder).glob("*.nii.gz"))
    }
    held = {part: list(options.get(part, ())) for part in ("validation", "test")}
    _check_names(found, held, config)
    kept = set(chain(*held.values()))
    names = {"training": [name for name in found if name not in kept], **held}
    prepared = _from(config, str(options.get("parts", "")))
    maps = {name: _read(path, prepared, progress) for name, path in found.items()}
    images, taught = int(options.get("images", 1)), labelling(config, recipe.spacing)

    def drawn(part: str, count: int) -> Samples:
        return DrawnImages([maps[name] for name in names[part]], recipe, count, taught) if names[part] else Nothing()

    parts = drawn("training", 1), drawn("validation", images), drawn("test", images)
    return Data(*parts, about={"label_maps": names}, whole_images=True)


def recipe_of(options: Mapping[str, Any], patch: Sequence[int]) -> Recipe:
    """Build a recipe from `data/options`; without `sizes` all images have the size of the patch.

    Raises:
        BadInput: if an option is unknown.
    """
    told = {key: value for key, value in options.items() if key not in _OWN}
    if "contrasts" in told:
        told["contrasts"] = tuple(told["contrasts"])
    sizes = [(i, j, k) for i, j, k in told.pop("sizes", [patch])]
    _check_contrasts(told.get("contrasts", []))
    nested = {"deformation": Deformation(), "resolution": Resolution()}
    changed: dict[str, Any] = {key: _replaced(part, told.pop(key, {}), key) for key, part in nested.items()}
    recipe: Recipe = _replaced(Recipe(sizes=tuple(sizes), **changed), told, "options")
    return recipe


def _replaced(part: Any, values: Mapping[str, Any], name: str) -> Any:
    known = {field.name for field in fields(part)}
    if unknown := sorted(set(values) - known):
        raise BadInput(f"data/options: {name} has no {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return replace(part, **values)


def _check_contrasts(names: Sequence[str]) -> None:
    if unknown := sorted(set(names) - set(contrast.USUAL)):
        raise BadInput(f"data/options: no contrast is called {', '.join(unknown)}; known: {', '.join(contrast.USUAL)}")


def _check_names(found: Mapping[str, Path], held: Mapping[str, list[str]], config: TrainingConfig) -> None:
    if not found:
        raise BadInput(f"no label maps (*.nii.gz) in {_from(config, config.data.folder)}; see data/folder")
    names = list(chain(*held.values()))
    if unknown := sorted(set(names) - set(found)):
        raise BadInput(f"data/options: no label map is called {', '.join(unknown)} in {config.data.folder}")
    if len(set(names)) < len(names):
        raise BadInput("data/options: a label map is named for validation and test, or twice")
    if not held["validation"] or len(names) == len(found):
        raise BadInput("data/options: name label maps for validation, and leave some to train on")


def _read(path: Path, prepared: Path, progress: Progress) -> LabelMap:
    progress(0.0, f"reading {path.name}")
    return label_map.read(path, prepared)


def _from(config: TrainingConfig, path: str) -> Path:
    return config.folder / Path(path).expanduser()
