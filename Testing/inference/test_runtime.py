"""OpenVINO stands in for PyTorch only where it gives the same labels, faster, and never talks to anybody."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from monai.networks.nets import UNet

from medseg.engines import cards
from medseg.engines.catalog import open_segmenter
from medseg.errors import BadInput
from medseg.inference import runtime
from medseg.inference.runtime import Verdict
from medseg.model_card import SelfTest

openvino = pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_compiled_network_gives_the_outputs_of_pytorch_for_every_shape() -> None:
    from medseg.inference.openvino import CompiledNetwork

    torch.manual_seed(0)
    network = UNet(3, 1, 3, (4, 8), (2,)).eval()
    compiled = CompiledNetwork(network, half=False)
    with torch.inference_mode():
        kept = []
        for shape in ((1, 1, 16, 16, 16), (2, 1, 16, 24, 8), (1, 1, 16, 16, 16)):
            inputs = torch.randn(shape)
            kept.append((compiled(inputs), network(inputs)))
        assert all(torch.allclose(ours, theirs, atol=1e-4) for ours, theirs in kept), "an output was written over"


def test_openvino_is_imported_without_its_telemetry(tmp_path: Path) -> None:
    code = (
        "import sys, torch\n"
        "from medseg.inference.openvino import CompiledNetwork\n"
        "network = CompiledNetwork(torch.nn.Conv3d(1, 1, 1).eval(), False)\n"
        "with torch.inference_mode(): network(torch.ones(1, 1, 2, 2, 2))\n"
        "print([name for name in sys.modules if 'telemetry' in name and sys.modules[name] and 'stub' not in name"
        " and name.startswith('openvino_telemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == [], "telemetry keeps an identifier in the home folder"


def test_the_verdict_is_measured_on_the_cards_volume_and_kept(home: Path) -> None:
    stored = cards.find("brain-t1")
    chosen = open_segmenter(stored, "cpu", "auto")
    (kept,) = (home / "runtime-checks").glob("brain-t1-*.json")
    verdict = Verdict(**json.loads(kept.read_text(encoding="utf-8")))
    assert verdict.lowest_dice >= 0.99
    named = "OpenVINO" if verdict.faster else "PyTorch"
    assert chosen._runtime == named
    kept.write_text(json.dumps({"lowest_dice": 0.5, "pytorch_seconds": 9, "openvino_seconds": 1}), encoding="utf-8")
    assert open_segmenter(stored, "cpu", "auto")._runtime == "PyTorch", "other labels: never, however fast"
    with pytest.raises(BadInput, match="OpenVINO gives other labels than PyTorch"):
        open_segmenter(stored, "cpu", "openvino")
    kept.write_text(json.dumps({"lowest_dice": 1, "pytorch_seconds": 2, "openvino_seconds": 1}), encoding="utf-8")
    assert open_segmenter(stored, "cpu", "auto")._runtime == "OpenVINO"
    kept.write_text(json.dumps({"lowest_dice": 1, "pytorch_seconds": 1.1, "openvino_seconds": 1}), encoding="utf-8")
    assert open_segmenter(stored, "cpu", "auto")._runtime == "PyTorch", "not worth compiling"


def test_without_a_test_volume_openvino_is_not_chosen_on_its_own() -> None:
    stored = cards.find("brain-t1")
    untested = replace(stored, card=replace(stored.card, test=None))
    assert open_segmenter(untested, "cpu", "auto")._runtime == "PyTorch"


def test_unknown_runtimes_and_missing_test_volumes_are_refused() -> None:
    stored = cards.find("brain-t1")
    with pytest.raises(BadInput, match="unknown runtime 'tensorrt'"):
        open_segmenter(stored, "cpu", "tensorrt")
    gone = replace(stored.card, test=SelfTest("gone.nii.gz"))
    with pytest.raises(BadInput, match=r"gone\.nii\.gz does not exist"):
        runtime.test_image(gone, stored.folder)
