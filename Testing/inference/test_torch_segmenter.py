"""What a prediction says of itself, and which windows it may skip."""

from dataclasses import replace

import pytest
import torch

from medseg.inference.device import Device
from medseg.inference.torch_segmenter import TorchSegmenter
from medseg.model_card import Inference
from medseg.progress import silent
from medseg.segmentation import Segment

HERE = Device(torch.device("cpu"), "a test")


def two_channels(inputs: torch.Tensor) -> torch.Tensor:
    return torch.cat([inputs - 1, inputs - 2], 1)


def test_overlapping_channels_are_found_even_where_the_card_lets_windows_be_skipped(small_card, volume) -> None:
    segments = (Segment(1, "a", (1, 0, 0), layer=0), Segment(1, "b", (0, 1, 0), layer=1))
    how = Inference(window=(8, 8, 8), activation="sigmoid", classes=2, foreground=1e9)
    card = replace(small_card.card, inference=how, segments=segments)
    found = TorchSegmenter(card, two_channels, HERE).predict([volume()], silent).segmentation
    assert found.layers == 2
    assert found.mask(segments[0]).sum() >= found.mask(segments[1]).sum()


@pytest.mark.parametrize("runtime", ["PyTorch", "OpenVINO"])
@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_the_record_names_the_precision_that_was_computed_in(small_card, volume, runtime: str, precision: str) -> None:
    how = Inference(window=(8, 8, 8), classes=2, precision=precision)
    card = replace(small_card.card, inference=how)
    record = TorchSegmenter(card, two_channels, HERE, runtime=runtime).predict([volume()], silent).provenance
    computed = HERE.fastest_dtype() if precision == "auto" else torch.float32
    assert record.options["precision"] == str(computed).removeprefix("torch.")
