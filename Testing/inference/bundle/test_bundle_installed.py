"""A bundle as a user meets it: added by a command, run in the worker by another, refused until it is trusted."""

import json
import shutil
from pathlib import Path

import pytest
import SimpleITK as sitk

from medseg import files
from medseg.cli import main
from medseg.geometry import Geometry
from medseg.inference import bundle_files


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def scan(tmp_path: Path, new_volume) -> Path:
    files.write_image(new_volume(), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder.parent / "zoo"), "zip", folder.parent, folder.name))


@pytest.mark.parametrize("packed", [False, True])
def test_a_bundle_is_added_and_segments_in_the_worker_as_in_this_process(
    tmp_path: Path, make_bundle, segment, scan: Path, packed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_bundle()
    expected = segment(folder, files.read_image(scan)).segmentation
    assert main(["models", "add", str(zipped(folder) if packed else folder), "--json"]) == 0
    name = json.loads(capsys.readouterr().out)["name"]
    shutil.rmtree(folder)  # nothing depends on where it came from
    assert main(["segment", str(scan), "--model", name, "--out", str(tmp_path / "out.seg.nrrd")]) == 0
    found = files.read_segmentation(tmp_path / "out.seg.nrrd")
    assert [s.name for s in found.segments] == ["spleen", "liver"]
    assert (sitk.GetArrayFromImage(found.labels) == sitk.GetArrayFromImage(expected.labels)).all()
    assert found.geometry.same_as(Geometry.of(files.read_image(scan)))
    assert main(["models", "verify", name]) == 0
    assert main(["models", "remove", name]) == 0


def test_labels_that_the_bundle_does_not_name_keep_their_segments_on_the_way_from_the_worker(
    tmp_path: Path, make_bundle, segment, scan: Path
) -> None:
    folder = make_bundle(channels={"0": "background", "1": "spleen"})  # the network gives a third class
    here = segment(folder, files.read_image(scan)).segmentation.segments
    assert main(["models", "add", str(folder)]) == 0
    out = tmp_path / "out.seg.nrrd"
    assert main(["segment", str(scan), "--model", "spleen-ct-segmentation", "--out", str(out)]) == 0
    assert [s.name for s in files.read_segmentation(out).segments] == [s.name for s in here]
    assert len(here) == 2


def test_a_published_bundle_is_added_only_with_its_fingerprint(
    tmp_path: Path, make_bundle, scan: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_bundle(published=True)
    fingerprint = bundle_files.fingerprint(folder)
    assert main(["models", "add", str(folder)]) == 2
    assert f"--trust {fingerprint}" in capsys.readouterr().err
    assert main(["models", "add", str(folder), "--trust", "0" * 64]) == 2
    assert list((home / "models").iterdir()) == []
    capsys.readouterr()
    assert main(["models", "add", str(folder), "--trust", fingerprint, "--json"]) == 0
    name = json.loads(capsys.readouterr().out)["name"]
    assert main(["segment", str(scan), "--model", name, "--out", str(tmp_path / "out.nii.gz")]) == 0
    config = home / "models" / name / "bundle" / "configs" / "inference.json"
    config.write_text(config.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert main(["segment", str(scan), "--model", name, "--out", str(tmp_path / "later.nii.gz")]) == 2
    assert "trust" in capsys.readouterr().err
    assert not (tmp_path / "later.nii.gz").exists()
