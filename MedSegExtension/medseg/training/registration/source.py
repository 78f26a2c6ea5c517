"""Images without reference as the data of a training (`data/source: registration`), and pairs drawn from label maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medseg.errors import BadInput
from medseg.formats.suffixes import READABLE, suffix
from medseg.progress import Progress
from medseg.registrars.pair_networks import named
from medseg.training.config import PARTS, Part, TrainingConfig
from medseg.training.registration.pairs import DrawnPairs, FixedPairs, PreparedImage, RandomPairs
from medseg.training.registration.prepare import prepare_all
from medseg.training.samples import Case, Data, Nothing, Samples
from medseg.training.split import split
from medseg.training.synthesis.source import open_label_maps, recipe_of

_KNOWN = {"labels", "align", "measure", "pairs", "validation", "test"}


def open_images(config: TrainingConfig, folder: Path, fold: int, progress: Progress) -> Data:
    """Open the images of `data/folder`, any two of which make a pair.

    `data/options`: `labels`, a folder of label maps with the images' names, for the Dice; `align`, how images are laid
    on the first one beforehand: "affine", "rigid" or "none" (they lie so already); `measure` of that, "ncc" or "mi";
    `pairs` of one epoch (as many as images); `validation` and `test`, names of images that are held back (without
    suffix), instead of `split`.

    Raises:
        BadInput: if there are too few images, one cannot be used, or an option is unknown.
    """
    _check(config)
    options, labelled = config.data.options, bool(config.data.options.get("labels"))
    if unknown := sorted(set(options) - _KNOWN):
        raise BadInput(f"data/options has no {', '.join(unknown)}; known: {', '.join(sorted(_KNOWN))}")
    if labelled != bool(config.segments):
        raise BadInput("segments and data/options/labels belong together: give both, or neither")
    parts = split(_cases(config), config.split, config.seed, fold)
    if len(parts["training"]) < 2:
        raise BadInput(f"{_folder(config)} leaves one image to train on; a pair needs two different ones")
    ordered = [case for part in PARTS for case in parts[part]]
    made = {image.name: image for image in prepare_all(ordered, config, folder, labelled, progress)}
    found: dict[Part, list[PreparedImage]] = {part: [made[case.name] for case in parts[part]] for part in PARTS}
    trained = RandomPairs(found["training"], config.augmentation, int(options.get("pairs", len(found["training"]))))
    held = [_held(found[part], found["training"][0]) for part in ("validation", "test")]
    return Data(trained, held[0], held[1], about={part: [case.name for case in parts[part]] for part in PARTS})


def open_drawn(config: TrainingConfig, folder: Path, fold: int, progress: Progress) -> Data:
    """Draw pairs from label maps (Hoffmann et al. 2022, SynthMorph); `data` is that of source `label_maps`.

    Raises:
        BadInput: if the grid is not the one that images are drawn on, or for what `label_maps` refuses.
    """
    _check(config)
    if "sizes" in config.data.options:
        raise BadInput("data/options/sizes: both images of a pair have the size of the patch; leave it out")
    wanted, drawn = config.card().preprocessing, recipe_of(config.data.options, config.patch).spacing
    if wanted.orientation != "RAS" or tuple(wanted.spacing) != (drawn,) * 3:
        raise BadInput(
            f"images are drawn in RAS with voxels of {drawn:g} mm; give preprocessing:"
            f" {{orientation: RAS, spacing: [{drawn:g}, {drawn:g}, {drawn:g}]}}, or another data/options/spacing"
        )
    data = open_label_maps(config, folder, fold, progress)
    parts = (data.training, data.validation, data.test)
    pairs = [DrawnPairs(part) if len(part) else part for part in parts]
    return replace(data, training=pairs[0], validation=pairs[1], test=pairs[2])


def _check(config: TrainingConfig) -> None:
    if not config.registers:
        raise BadInput(f"data/source {config.data.source} gives pairs; set loss/name: registration")
    name = str(config.network["class"])
    multiple = named(name).multiple
    if len(config.patch) != 3 or any(edge % multiple for edge in config.patch):
        raise BadInput(f"patch: {name} wants three edges, multiples of {multiple}")
    if config.preprocessing.get("size") or config.preprocessing.get("intensity"):
        raise BadInput("preprocessing: a registration takes spacing and orientation alone; it scales images itself")


def _held(images: Sequence[PreparedImage], trained: PreparedImage) -> Samples:
    """Pair each held-out image with the next one; a single one with an image of the training."""
    if not images:
        return Nothing()
    if len(images) == 1:
        return FixedPairs([(images[0], trained)])
    return FixedPairs(list(zip(images, [*images[1:], images[0]], strict=True)))


def _folder(config: TrainingConfig, name: str = "") -> Path:
    return config.folder / Path(name or config.data.folder).expanduser()


def _cases(config: TrainingConfig) -> list[Case]:
    if not config.data.folder or not _folder(config).is_dir():
        raise BadInput(f"data/folder {_folder(config)} is no folder; name one with images")
    images = _named(_folder(config))
    if len(images) < 2:
        raise BadInput(f"{_folder(config)} holds {len(images)} image(s); a pair needs two, and more are held back")
    labels = _labels(config, images)
    told = _told(config.data.options, images)
    return [Case(name, name, (path,), labels.get(name, Path()), told.get(name, "")) for name, path in images.items()]


def _named(folder: Path) -> dict[str, Path]:
    paths = [path for path in sorted(folder.iterdir()) if suffix(path) in READABLE and not path.name.startswith(".")]
    return {path.name.removesuffix(suffix(path)): path for path in paths}


def _labels(config: TrainingConfig, images: Mapping[str, Path]) -> dict[str, Path]:
    if not config.data.options.get("labels"):
        return {}
    folder = _folder(config, str(config.data.options["labels"]))
    found = _named(folder) if folder.is_dir() else {}
    if lacking := [name for name in images if name not in found]:
        raise BadInput(f"data/options/labels: {folder} has no label map called {', '.join(lacking)}")
    return found


def _told(options: Mapping[str, Any], images: Mapping[str, Path]) -> dict[str, Part]:
    """Return which part each image is of, where the options say so."""
    held: dict[str, Part] = {str(name): "test" for name in options.get("test", ())}
    held |= {str(name): "validation" for name in options.get("validation", ())}
    if unknown := sorted(set(held) - set(images)):
        raise BadInput(f"data/options: no image is called {', '.join(unknown)}")
    return {name: held.get(name, "training") for name in images} if held else {}
