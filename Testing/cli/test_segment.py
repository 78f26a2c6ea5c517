"""`medseg segment`, `models`, `doctor` and `demo` as a user runs them: exit codes, JSON, and files left or not left."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
import pytest
import SimpleITK as sitk

from medseg import files, resources
from medseg.cli import main
from medseg.engines import cards
from medseg.geometry import Geometry

COLIN = str(resources.shipped() / "SampleData" / "colin27_t1.nii.gz")
SHIPPED = sorted(
    path.stem for path in (resources.shipped() / "Models").glob("*.json") if not path.name.endswith(".schema.json")
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own models folder; the first run's look at OpenVINO is spared by asking for PyTorch."""
    monkeypatch.setenv("MEDSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def medseg(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "medseg.cli", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def segment(*images: str, out: Path, extra: tuple[str, ...] = ()) -> list[str]:
    return ["segment", *images, "--model", "brain-t1", "--out", str(out), "--runtime", "pytorch", *extra]


def made(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "home"}


def test_one_command_segments_a_real_head(tmp_path: Path) -> None:
    run = medseg(*segment(COLIN, out=tmp_path / "brain.nii.gz", extra=("--json", "--report", str(tmp_path / "r"))))
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    said = json.loads(out)
    assert said["segments"] == [{"name": "Brain", "value": 1, "layer": 0, "volume_ml": pytest.approx(1956, abs=5)}]
    image, found = sitk.ReadImage(COLIN), sitk.ReadImage(str(tmp_path / "brain.nii.gz"))
    assert Geometry.of(found).same_as(Geometry.of(image))
    record = files.read_provenance(tmp_path / "brain.json")
    assert (record.model, record.version) == ("brain-t1", "1.0.2")
    assert Path(said["report"]).is_file()
    assert made(tmp_path) == {"brain.nii.gz", "brain.json", "brain.tsv", "r"}


def test_names_colours_and_codes_reach_slicers_own_format(tmp_path: Path) -> None:
    assert main(segment(COLIN, out=tmp_path / "brain.seg.nrrd")) == 0
    (segment_,) = files.read_segmentation(tmp_path / "brain.seg.nrrd").segments
    assert segment_.name == "Brain"
    assert segment_.code is not None
    assert segment_.code.value == "12738006"


def broken_image(tmp_path: Path, kind: str) -> list[str]:
    grid = Geometry((20, 20, 20), (8.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel()))
    noise = np.random.default_rng(0).normal(100, 10, grid.shape).astype(np.float32)
    path = tmp_path / "scan.nii.gz"
    if kind == "missing":
        return [str(path)]
    if kind == "NaN":
        noise[3, 3, 3] = np.nan
    if kind == "zero":
        noise[:] = 0
    if kind == "4D":
        nib.save(nib.Nifti1Image(np.stack([noise] * 3, -1), np.eye(4)), path)
        return [str(path)]
    files.write_image(grid.image(noise), path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-2000])
    return [str(path)] * (2 if kind == "two channels" else 1)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "scan.nii.gz does not exist"),
        ("NaN", "scan.nii.gz has 1 voxel(s) that are NaN or infinite"),
        ("zero", "scan.nii.gz is empty: every voxel is 0"),
        ("4D", "wants 1 image(s) (T1) but got 3"),
        ("truncated", "scan.nii.gz"),
        ("two channels", "wants 1 image(s) (T1) but got 2"),
    ],
)
def test_bad_images_are_answered_with_code_2_by_name_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, message: str
) -> None:
    images = broken_image(tmp_path, kind)
    before = made(tmp_path)
    assert main(segment(*images, out=tmp_path / "out.nii.gz", extra=("--json",))) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert json.loads(captured.out)["exit_code"] == 2
    assert made(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "liver", "--out", "x.nii.gz"], f"unknown model 'liver'; installed: {', '.join(SHIPPED)}. Add one"),
        (["--model", "brain-t1", "--out", "x.docx"], "x.docx"),
        (["--model", "brain-t1", "--out", "no/such/folder/x.nii.gz"], "folder"),
        (["--model", "brain-t1", "--out", "x.nii.gz", "--device", "gpu"], "unknown device 'gpu'"),
    ],
)
def test_wrong_options_are_answered_with_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["segment", COLIN, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert made(tmp_path) == set()


def test_wrong_usage_is_code_2() -> None:
    for arguments in ([], ["segment"], ["nonsense"], ["segment", COLIN, "--model", "brain-t1"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.0, 1.0])
def test_cancelling_ends_with_130_within_a_second_and_leaves_nothing(tmp_path: Path, number: int, after: float) -> None:
    run = medseg(*segment(COLIN, out=tmp_path / "brain.nii.gz"))
    while not psutil.Process(run.pid).children():  # until the worker is there
        time.sleep(0.01)
    time.sleep(after)
    began = time.monotonic()
    run.send_signal(number)
    _out, err = run.communicate(timeout=20)
    if run.returncode != 0:  # a fast machine may have finished
        assert run.returncode == 130, err
        assert time.monotonic() - began < 1.5
        assert "Traceback" not in err
        assert made(tmp_path) == set()


def test_a_report_that_cannot_be_written_is_code_3_or_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["demo", "--out", str(tmp_path / "file" / "demo"), "--runtime", "pytorch"]) in (2, 3)
    assert "file" in capsys.readouterr().err


def test_the_demo_ends_with_the_path_of_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), "--runtime", "pytorch"]) == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last == f"Report: {tmp_path / 'demo' / 'index.html'}"
    page = (tmp_path / "demo" / "index.html").read_text(encoding="utf-8")
    assert "Where the network is unsure" in page
    assert "A correction" in page
    assert "Brain" in page
    assert "Not for clinical use" in page
    assert {"index.html", "axial.png", "brain.seg.nrrd", "brain.json"} <= made(tmp_path / "demo")


def test_the_doctor_finds_a_usable_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["usable"]
    assert found["torch"]["works"]
    assert main(["doctor"]) == 0
    assert "brain-t1" in capsys.readouterr().out


def test_models_are_listed_shown_and_verified(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--json"]) == 0
    assert "brain-t1" in [model["name"] for model in json.loads(capsys.readouterr().out)["models"]]
    assert main(["models", "show", "brain-t1"]) == 0
    assert "Not for clinical use" in capsys.readouterr().out
    assert main(["models", "verify"]) == 0
    assert "ready" in capsys.readouterr().out
    assert main(["models", "remove", "brain-t1"]) == 2
    assert main(["models", "show", "liver"]) == 2


def test_standard_output_holds_the_json_object_and_nothing_else(tmp_path: Path) -> None:
    run = medseg(*segment(COLIN, out=tmp_path / "b.nrrd", extra=("--json",)))
    out, _err = run.communicate(timeout=120)
    assert json.loads(out)["output"].endswith("b.nrrd")


def test_a_sheared_file_is_resampled_and_the_result_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = nib.load(COLIN)
    affine = head.affine.copy()
    affine[0, 2] += 0.2
    nib.save(nib.Nifti1Image(np.asarray(head.dataobj), affine), tmp_path / "sheared.nii.gz")
    assert main(segment(str(tmp_path / "sheared.nii.gz"), out=tmp_path / "b.nii.gz", extra=("--json",))) == 0
    captured = capsys.readouterr()
    assert any("shear" in note for note in json.loads(captured.out)["notes"])
    assert "shear" in captured.err
    assert any("shear" in note for note in files.read_provenance(tmp_path / "b.json").notes)


def test_an_output_file_that_is_there_is_kept_when_the_work_fails(tmp_path: Path) -> None:
    target = tmp_path / "old.nii.gz"
    target.write_bytes(b"precious")
    assert main(segment(str(tmp_path / "gone.nii"), out=target)) == 2
    assert target.read_bytes() == b"precious"
    assert made(tmp_path) == {"old.nii.gz"}


def test_a_reader_that_has_seen_enough_is_no_error_to_shout_about() -> None:
    run = medseg("models", "list")
    run.stdout.close()
    assert "Traceback" not in run.stderr.read()
    run.wait(timeout=20)


def test_what_a_library_prints_does_not_end_up_in_the_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = cards.listed

    def talkative() -> list[cards.StoredCard]:
        print("welcome to this library")
        return listed()

    monkeypatch.setattr(cards, "listed", talkative)
    assert main(["models", "list", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["models"]
    assert "welcome" in captured.err
