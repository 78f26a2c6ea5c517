"""An nnU-Net result folder as a user meets it: added by a command, run in the worker by another."""

import json
import shutil
from pathlib import Path

import pytest
import SimpleITK as sitk

from medseg import files
from medseg.cli import main
from medseg.engines import cards
from medseg.engines.catalog import open_segmenter
from medseg.progress import silent


def test_a_result_folder_is_added_and_segments_in_the_worker_as_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_folder, new_volume, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDSEG_HOME", str(tmp_path / "home"))
    folder = Path(make_folder())
    files.write_image(new_volume(), tmp_path / "scan.nii.gz")
    capsys.readouterr()  # what nnU-Net's trainer printed while it made the folder
    assert main(["models", "add", str(folder), "--json"]) == 0
    name = json.loads(capsys.readouterr().out)["name"]
    shutil.rmtree(folder)  # nothing depends on where it came from
    expected = open_segmenter(cards.find(name), "cpu").predict([files.read_image(tmp_path / "scan.nii.gz")], silent)
    out = tmp_path / "out.nii.gz"
    assert main(["segment", str(tmp_path / "scan.nii.gz"), "--model", name, "--out", str(out)]) == 0
    found = files.read_segmentation(out)
    assert (sitk.GetArrayFromImage(found.labels) == sitk.GetArrayFromImage(expected.segmentation.labels)).all()
    assert main(["models", "remove", name]) == 0
