"""What is known of a model, as data: who made it, what it wants, what it gives, and which bytes it consists of.

A card is one JSON file, valid against `Resources/Models/model-card.schema.json`, which documents every key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from medseg.segmentation import Code, Segment

Engine = Literal["network", "torchscript", "bundle", "nnunet", "registration"]


@dataclass(frozen=True)
class Channel:
    """One input image of a model, e.g. "T1" of modality "MR"."""

    name: str
    modality: str = ""
    description: str = ""


@dataclass(frozen=True)
class Weights:
    """One file of weights and its SHA-256.

    `file` is relative to the card's folder, or to the files of the PyPI package `package` where one is named.
    """

    file: str
    sha256: str
    package: str = ""
    stage: str = "main"


@dataclass(frozen=True)
class Crop:
    """Which part of the image the network sees.

    "foreground": the box of voxels above `threshold`, grown by `margin_mm`.
    "network": the box that a coarse network (weights of stage "coarse") finds on a grid of `size` voxels, its edges
    grown by the fraction `margin` on each side; an edge counts where more than `threshold` of a slice is inside.
    "centre": `size` voxels in the middle of the image on the network's grid, padded with 0 where it has fewer.
    """

    method: Literal["none", "foreground", "network", "centre"] = "none"
    threshold: float = 0.0
    margin_mm: float = 0.0
    margin: float = 0.0
    size: tuple[int, ...] = ()


@dataclass(frozen=True)
class Preprocessing:
    """From the input grid to the network's; the way back is the reverse of the same grid change.

    `spacing` (mm) or `size` (voxels) may be given, not both. `intensity` steps run in order: each is one of
    {"clip_percentiles": [low, high]} (of the whole image, rescaled to 0..1), {"window": [low, high]} (same, fixed),
    {"zscore": "all" | "nonzero"}, {"scale": factor}, {"shift": offset}.
    """

    orientation: str = ""
    spacing: tuple[float, ...] = ()
    size: tuple[int, ...] = ()
    interpolation: Literal["linear", "nearest", "bspline"] = "linear"
    crop: Crop = field(default_factory=Crop)
    intensity: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Inference:
    """How the network is run.

    `window` in voxels (i, j, k); empty means the whole volume in one pass, padded to multiples of `divisor`.
    `overlap` is a fraction of the window, `batch` how many windows go through the network at once.
    `precision`: "auto" is bfloat16 or float16 where the device has it. `classes` counts output channels, background
    included. `activation`: what turns outputs into probabilities ("none" if the network already does).
    `foreground`: windows with no voxel above it (after intensity steps) are skipped as background; None runs all.
    """

    window: tuple[int, ...] = ()
    overlap: float = 0.5
    precision: Literal["auto", "float32"] = "auto"
    classes: int = 2
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"
    foreground: float | None = None
    batch: int = 1
    divisor: int = 1


@dataclass(frozen=True)
class Postprocessing:
    """What is done to the label map on the network's grid."""

    largest_component: bool = False
    fill_holes: bool = False


@dataclass(frozen=True)
class SelfTest:
    """A volume that an accelerated engine must reproduce PyTorch's labels on before it is used."""

    volume: str
    minimum_dice: float = 0.99


@dataclass(frozen=True)
class ModelCard:
    """One model. `network` holds the class name (of MONAI or ours) and arguments for engine "network".

    Engine "registration" lays images on one another, and needs no segments.
    """

    name: str
    version: str
    title: str
    description: str
    engine: Engine
    license: str
    source: str
    intended_use: str
    inputs: tuple[Channel, ...]
    segments: tuple[Segment, ...]
    weights: tuple[Weights, ...]
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    inference: Inference = field(default_factory=Inference)
    postprocessing: Postprocessing = field(default_factory=Postprocessing)
    network: Mapping[str, Any] = field(default_factory=dict)
    bundle: Mapping[str, Any] = field(default_factory=dict)
    test: SelfTest | None = None
    prompts: tuple[str, ...] = ()
    training_data: str = ""
    scores: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """The fingerprint of the main weights, or of the first file."""
        main = [w.sha256 for w in self.weights if w.stage == "main"]
        return (main or [w.sha256 for w in self.weights] or [""])[0]

    @property
    def dimension(self) -> int:
        """2 for radiographs, 3 for volumes; 0 where the card does not tell (a bundle may run slice by slice)."""
        if self.engine in ("bundle", "nnunet"):
            return 0
        told = self.network.get("arguments", {}).get("spatial_dims", 0)
        return len(self.inference.window) or len(self.preprocessing.size) or int(told)

    def as_json(self) -> dict[str, Any]:
        """Return the card as plain JSON values; `from_json` reads them back."""
        data: dict[str, Any] = asdict(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelCard:
        """Build a card from JSON values that the schema has already accepted."""
        values = {key: value for key, value in data.items() if key != "schema_version" and not key.startswith("$")}
        values["inputs"] = tuple(Channel(**c) for c in data["inputs"])
        values["segments"] = tuple(segment_of(s) for s in data["segments"])
        values["weights"] = tuple(Weights(**w) for w in data["weights"])
        values["preprocessing"] = _preprocessing(data.get("preprocessing", {}))
        values["inference"] = Inference(**_tuples(data.get("inference", {})))
        values["postprocessing"] = Postprocessing(**data.get("postprocessing", {}))
        values["test"] = SelfTest(**data["test"]) if data.get("test") else None
        values["prompts"] = tuple(data.get("prompts", ()))
        return cls(**values)


def segment_of(data: Mapping[str, Any]) -> Segment:
    """Build a segment from the JSON values of a card or a message."""
    values = dict(data)
    values["color"] = tuple(float(c) for c in data["color"])
    for key in ("code", "category", "modifier", "region", "region_modifier"):
        values[key] = Code(**data[key]) if data.get(key) else None
    return Segment(**values)


def _preprocessing(data: Mapping[str, Any]) -> Preprocessing:
    values = _tuples(data)
    values["crop"] = Crop(**_tuples(data.get("crop", {})))
    return Preprocessing(**values)


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
