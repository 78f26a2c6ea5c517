"""What a training is told, as data; `config.schema.json` beside this file documents every key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from medseg.model_card import Channel, ModelCard
from medseg.segmentation import Segment

Part = Literal["training", "validation", "test"]
PARTS: tuple[Part, ...] = ("training", "validation", "test")
REGISTRATION = "registration"
"""The loss of networks that register."""


@dataclass(frozen=True)
class DataConfig:
    """Where images and labels come from."""

    source: str
    pairs: tuple[Mapping[str, Any], ...] = ()
    folder: str = ""
    patient: str = ""
    mapping: Mapping[str, int] = field(default_factory=dict)
    allow_empty: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """Fractions of the patients that are held back; `folds` > 0 makes every other patient validate once."""

    validation: float = 0.1
    test: float = 0.1
    folds: int = 0


@dataclass(frozen=True)
class Augmentation:
    """The largest change of each kind; 0 turns one off."""

    rotation_degrees: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic_mm: float = 0.0
    flip: tuple[int, ...] = ()
    gamma: float = 0.0
    noise: float = 0.0
    probability: float = 0.5


@dataclass(frozen=True)
class Start:
    """Transfer learning: whose weights to begin with, and how many layers from the input stay frozen."""

    card: str = ""
    weights: str = ""
    encoder: str = ""
    freeze: int = 0


@dataclass(frozen=True)
class Loss:
    """The name of an objective and what it takes."""

    name: str = "dice_ce"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Optimiser:
    """How weights follow gradients."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    momentum: float = 0.9
    clip: float = 12.0  # as nnU-Net (Isensee et al. 2021)


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes on the way."""

    name: Literal["constant", "cosine", "poly", "plateau"] = "constant"
    warmup_epochs: int = 0
    patience: int = 10
    factor: float = 0.5


@dataclass(frozen=True)
class TrainingConfig:
    """One training. `folder` is where the configuration lies: relative paths start there."""

    name: str
    license: str
    inputs: tuple[Channel, ...]
    segments: tuple[Segment, ...]
    data: DataConfig
    network: Mapping[str, Any]
    patch: tuple[int, ...]
    epochs: int
    folder: Path = Path()
    version: str = "1"
    title: str = ""
    description: str = ""
    source: str = "trained with medseg train"
    intended_use: str = "Research use only. Not for clinical use."
    training_data: str = ""
    seed: int = 0
    split: Split = field(default_factory=Split)
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    foreground_share: float = 0.5
    augmentation: Augmentation = field(default_factory=Augmentation)
    start: Start = field(default_factory=Start)
    loss: Loss = field(default_factory=Loss)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    steps_per_epoch: int = 0
    batch: int = 1
    validate_every: int = 1
    patience: int = 0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    workers: int = 0
    members: int = 1
    inference: Mapping[str, Any] = field(default_factory=dict)
    postprocessing: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """Output channels of the network, background included."""
        return 1 + max((segment.value for segment in self.segments), default=0)

    @property
    def runs(self) -> int:
        """How many networks are trained: one a fold, or one an ensemble member."""
        return self.split.folds or self.members

    @property
    def registers(self) -> bool:
        """Whether the network lays two images on one another instead of segmenting one."""
        return self.loss.name == REGISTRATION

    @property
    def _purpose(self) -> str:
        return "registration" if self.registers else _listed(self.segments)

    def card(self) -> ModelCard:
        """Return the card of this training before anything is known of weights and scores."""
        values = {
            "inputs": [asdict(channel) for channel in self.inputs],
            "segments": [asdict(segment) for segment in self.segments],
            "weights": [],
            "title": self.title or self.name,
            "description": self.description or f"{self.network['class']} for {self._purpose}",
            "engine": "registration" if self.registers else "network",
            "preprocessing": dict(self.preprocessing),
            "inference": {**self.inference, "classes": self.classes, "window": list(self.patch)},
            "postprocessing": dict(self.postprocessing),
            "prompts": _PROMPTS if self.loss.name == "clicks" else [],
        }
        told = {key: getattr(self, key) for key in _CARD_KEYS}
        return ModelCard.from_json({**told, **values})

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values of all that shapes the weights: not where files lie, nor what runs it."""
        left_out = ("folder", "device", "workers")
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name not in left_out}


_PROMPTS = ["point", "box", "scribble", "lasso"]
"""What a session makes clicks of, for a network that was trained by clicks."""

_CARD_KEYS = ("name", "version", "license", "source", "intended_use", "training_data")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return _plain(asdict(value)) if hasattr(value, "__dataclass_fields__") else value


def _listed(segments: tuple[Segment, ...]) -> str:
    return ", ".join(segment.name for segment in segments)
