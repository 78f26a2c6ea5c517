"""`medseg register` and `medseg checkerboard` from files to files."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.cli import main
from medseg.formats import transforms
from medseg.geometry import Geometry
from registration_phantoms import INSIDE, SMALL_TURN, head, moved, swelling


@pytest.fixture
def case(tmp_path):
    """The files of a registration, by name."""
    paths = {name: str(tmp_path / f"{name}.nii.gz") for name in ("fixed", "moving", "fixed_labels", "moving_labels")}
    for side, image in (("fixed", moved(SMALL_TURN)), ("moving", head())):
        sitk.WriteImage(image, paths[side])
        sitk.WriteImage(sitk.Cast(image > 150, sitk.sitkUInt8), paths[f"{side}_labels"])
    table = "\n".join(",".join(str(x) for x in SMALL_TURN.TransformPoint(p)) for p in INSIDE)
    node = {"coordinateSystem": "RAS", "controlPoints": [{"position": [-x, -y, z]} for x, y, z in INSIDE]}
    (tmp_path / "fixed.mrk.json").write_text(json.dumps({"markups": [node]}))
    (tmp_path / "moving.csv").write_text(table)
    points = ["--fixed-points", str(tmp_path / "fixed.mrk.json"), "--moving-points", str(tmp_path / "moving.csv")]
    return paths, points


def run(capsys, *arguments):
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("ending", [".h5", ".tfm", ".nii.gz", ".nrrd"])
def test_the_transform_applied_by_simpleitk_gives_the_warped_image(capsys, tmp_path, case, ending):
    paths, points = case
    out, warped = tmp_path / f"t{ending}", tmp_path / "warped.nii.gz"
    code, data = run(
        capsys, "register", paths["fixed"], paths["moving"], "--engine", "landmarks-thin-plate", *points,
        "--out", str(out), "--warped", str(warped), "--fixed-labels", paths["fixed_labels"],
        "--moving-labels", paths["moving_labels"], "--report", str(tmp_path / "report"),
    )  # fmt: skip
    assert code == 0
    assert data["measures"]["landmarks"]["mean"] < 0.1
    assert data["measures"]["landmarks_before"]["mean"] > 5
    assert data["measures"]["labels"][0]["dice"] > 0.9
    assert {"engine", "transform", "warped", "report", "measures", "seconds", "notices"} <= set(data)
    fixed, moving = (sitk.ReadImage(paths[name]) for name in ("fixed", "moving"))
    again = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transforms.read(out)))[2:-2, 2:-2, 2:-2]
    ours = sitk.GetArrayFromImage(sitk.ReadImage(str(warped)))[2:-2, 2:-2, 2:-2]
    assert np.abs(again - ours).max() <= 0.01 * np.ptp(ours)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "verdict sheet" in page
    assert "within tolerance" in page
    assert json.loads((tmp_path / "report" / "verdict.json").read_text())["decision"] is None


def test_the_way_back_is_written(capsys, tmp_path, case):
    paths, points = case
    files = [str(tmp_path / name) for name in ("t.tfm", "back.tfm")]
    code, data = run(
        capsys, "register", paths["fixed"], paths["moving"], "--engine", "landmarks-rigid", *points,
        "--out", files[0], "--inverse", files[1],
    )  # fmt: skip
    assert code == 0
    assert data["measures"]["inverse_consistency_mm"] < 1e-6
    there, back = (sitk.ReadTransform(name) for name in files)
    assert np.allclose(back.TransformPoint(there.TransformPoint((10.0, 20.0, 30.0))), (10, 20, 30))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--engine", "demons", "--out", "t.h5"], "no registration engine 'demons'"),
        (["--engine", "landmarks-rigid", "--out", "t.h5"], "give --fixed-points and --moving-points"),
        (["--engine", "rigid", "--out", "t.png"], "cannot hold a transform"),
        (["--engine", "rigid", "--out", "t.h5", "--initial", "no.tfm"], "does not exist"),
        (["--engine", "rigid", "--out", "t.h5", "--measure", "lncc"], "unknown measure"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(capsys, tmp_path, monkeypatch, case, arguments, why):
    monkeypatch.chdir(tmp_path)
    code, data = run(capsys, "register", case[0]["fixed"], case[0]["moving"], *arguments)
    assert code == 2
    assert why in data["error"]
    assert not (tmp_path / "t.h5").exists()


def test_a_checkerboard_shows_the_moving_image_where_the_transform_puts_it(capsys, tmp_path, case):
    paths, _ = case
    sitk.WriteTransform(SMALL_TURN, str(tmp_path / "t.tfm"))
    sides = paths["fixed"], paths["moving"], "--transform", str(tmp_path / "t.tfm"), "--tile", "18"
    code, data = run(capsys, "checkerboard", *sides, "--out", str(tmp_path / "board.nii.gz"))
    assert (code, data["tile_mm"]) == (0, 18.0)
    board, fixed = (sitk.GetArrayFromImage(sitk.ReadImage(p)) for p in (data["output"], paths["fixed"]))
    assert np.abs(board - fixed).max() < 0.01 * np.ptp(fixed)
    assert run(capsys, "checkerboard", *sides, "--out", str(tmp_path / "board.png"))[0] == 0
    picture = sitk.ReadImage(str(tmp_path / "board.png"))
    assert min(picture.GetSize()) > 200


def test_a_transform_in_the_wrong_direction_is_told(capsys, tmp_path, case):
    paths, _ = case
    sides = paths["fixed"], paths["moving"]
    for name, transform in (("right", SMALL_TURN), ("wrong", SMALL_TURN.GetInverse())):
        sitk.WriteTransform(transform, str(tmp_path / f"{name}.tfm"))
        out = str(tmp_path / "board.nii.gz")
        _, data = run(capsys, "checkerboard", *sides, "--transform", str(tmp_path / f"{name}.tfm"), "--out", out)
        assert any("wrong direction" in notice for notice in data["notices"]) == (name == "wrong")


def test_a_learned_engine_reads_its_weights_from_a_file(capsys, tmp_path, case):
    import torch

    from medseg.registrars.symnet import SymNet

    paths, _ = case
    torch.save({key: torch.zeros_like(v) for key, v in SymNet(1).state_dict().items()}, tmp_path / "w.pth")
    sides = paths["fixed"], paths["moving"], "--engine", "symnet", "--out", str(tmp_path / "t.h5"), "--device", "cpu"
    assert run(capsys, "register", *sides)[0] == 2
    code, data = run(capsys, "register", *sides, "--weights", str(tmp_path / "w.pth"), "--turns", "1")
    assert code == 0
    assert data["measures"]["similarity"]["after"]["ncc"] > 0.95
    assert data["measures"]["inverse_consistency_mm"] < 0.01


@pytest.mark.parametrize(
    ("more", "why"), [(["--tile", "0"], "--tile 0 is no size"), (["--transform", "no.tfm"], "does not exist")]
)
def test_a_checkerboard_that_cannot_be_drawn_is_bad_input(capsys, tmp_path, case, more, why):
    paths, _ = case
    code, data = run(
        capsys, "checkerboard", paths["fixed"], paths["moving"], *more, "--out", str(tmp_path / "board.png")
    )
    assert code == 2
    assert why in data["error"]


@pytest.mark.parametrize("ending", [".h5", ".tfm"])
def test_composites_within_composites_are_written_as_one(tmp_path, ending):
    inner = sitk.CompositeTransform([sitk.TranslationTransform(3, (1.0, 2.0, 3.0)), SMALL_TURN])
    nested = sitk.CompositeTransform([inner, swelling()])
    transforms.write(nested, tmp_path / f"t{ending}", Geometry.of(head()))
    again = transforms.read(tmp_path / f"t{ending}")
    assert nested.GetNumberOfTransforms() == 2
    for place in INSIDE:
        assert np.allclose(again.TransformPoint(place), nested.TransformPoint(place), atol=1e-6)


def test_files_that_are_no_transforms_are_bad_input(tmp_path):
    (tmp_path / "a.tfm").write_text("nothing")
    sitk.WriteImage(head(), str(tmp_path / "b.nii.gz"))
    for name, why in (("a.tfm", "cannot be read as a transform"), ("b.nii.gz", "not a displacement field")):
        with pytest.raises(ValueError, match=why):
            transforms.read(tmp_path / name)
