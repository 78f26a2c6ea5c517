"""Whether OpenVINO may stand in for PyTorch: only where it gives a card's test volume the same labels, faster."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import SimpleITK as sitk

from medseg import files, resources
from medseg.atomic import replacing
from medseg.errors import BadInput
from medseg.metrics import dice
from medseg.model_card import ModelCard
from medseg.progress import silent
from medseg.segmenter import Segmenter

_WORTH_IT = 1.25


@dataclass(frozen=True)
class Verdict:
    """What the comparison on the card's test volume found: the lowest Dice of any segment, and seconds of each."""

    lowest_dice: float
    pytorch_seconds: float
    openvino_seconds: float

    def same_labels(self, card: ModelCard) -> bool:
        """Whether the labels agree as well as the card demands."""
        return card.test is not None and self.lowest_dice >= card.test.minimum_dice

    @property
    def faster(self) -> bool:
        """Whether the whole prediction gains enough to be worth compiling the network."""
        return self.pytorch_seconds > _WORTH_IT * self.openvino_seconds


def choose(
    card: ModelCard, folder: Path, wanted: str, open_with: Callable[[str], Segmenter], processor: str
) -> Segmenter:
    """Open a card's network on the runtime that is wanted, or the better one where "auto" is.

    The comparison runs once for each model, OpenVINO version and processor; its verdict is kept in the user's folder.

    Args:
        card: the model.
        folder: where its test volume may lie, beside the shipped sample data.
        wanted: "auto", "pytorch" or "openvino".
        open_with: opens the model on "PyTorch" or "OpenVINO".
        processor: what tells this processor from others.

    Raises:
        BadInput: if OpenVINO is asked for and missing, or its labels differ too much.
    """
    if wanted not in ("auto", "pytorch", "openvino"):
        raise BadInput(f"unknown runtime {wanted!r}; use auto, pytorch or openvino")
    if wanted == "openvino" and not _installed():
        raise BadInput('OpenVINO is not installed; run: pip install "medseg[openvino]", or use --runtime pytorch')
    if wanted == "pytorch" or not _installed() or (wanted == "auto" and card.test is None):
        return open_with("PyTorch")
    if card.test is None:
        return open_with("OpenVINO")
    verdict = _verdict(card, folder, open_with, processor)
    if wanted == "openvino" and not verdict.same_labels(card):
        raise BadInput(f"OpenVINO gives other labels than PyTorch on {card.test.volume} ({verdict}); use pytorch")
    chosen = verdict.same_labels(card) and (wanted == "openvino" or verdict.faster)
    return open_with("OpenVINO" if chosen else "PyTorch")


def _installed() -> bool:
    from medseg.inference import openvino

    return openvino.installed()


def _verdict(card: ModelCard, folder: Path, open_with: Callable[[str], Segmenter], processor: str) -> Verdict:
    identity = json.dumps([card.as_json(), metadata.version("openvino"), metadata.version("torch"), processor])
    name = sha256(identity.encode()).hexdigest()[:16]
    kept = resources.user_folder() / "runtime-checks" / f"{card.name}-{name}.json"
    if kept.is_file():
        return Verdict(**json.loads(kept.read_text(encoding="utf-8")))
    verdict = compare(card, test_image(card, folder), open_with)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with replacing(kept) as (draft,):
        draft.write_text(json.dumps(asdict(verdict)), encoding="utf-8")
    return verdict


def compare(card: ModelCard, image: sitk.Image, open_with: Callable[[str], Segmenter]) -> Verdict:
    """Run both runtimes on an image, each warm, and compare labels and times."""
    exact, fast = open_with("PyTorch"), open_with("OpenVINO")
    seconds = []
    results = []
    for segmenter in (exact, fast):
        segmenter.predict([image], silent)  # compiles and warms up
        began = time.monotonic()
        results.append(segmenter.predict([image], silent).segmentation)
        seconds.append(time.monotonic() - began)
    lowest = min(dice(results[0].mask(s), results[1].mask(s)) for s in card.segments)
    return Verdict(lowest, seconds[0], seconds[1])


def test_image(card: ModelCard, folder: Path) -> sitk.Image:
    """Read the card's test volume, beside the card or among the shipped sample data."""
    if card.test is None:
        raise BadInput(f"card {card.name} names no test volume")
    beside = folder / card.test.volume
    return files.read_image(beside if beside.is_file() else resources.shipped() / "SampleData" / card.test.volume)
