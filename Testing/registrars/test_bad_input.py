"""What people give by mistake, beyond what every engine is asked in the contract."""

import json
import warnings

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.cli import main
from medseg.engines import registration_jobs
from medseg.engines.registrars_catalog import Options, open_registrar
from medseg.errors import BadInput, Notice
from medseg.geometry import Geometry
from medseg.progress import silent
from medseg.registration import Guidance
from medseg.registration_review import Pair, review
from medseg.verdict import Sheet, Thresholds, checks
from registration_phantoms import INSIDE, SMALL_TURN, head, moved

FOUR = [(0.0, 0.0, 0.0), (9.0, 0.0, 0.0), (0.0, 9.0, 0.0), (0.0, 0.0, 9.0)]
LINE = [(float(n), 0.0, 0.0) for n in range(4)]
PLANE = [(0.0, 0.0, 0.0), (9.0, 0.0, 0.0), (0.0, 9.0, 0.0), (9.0, 9.0, 0.0)]


@pytest.mark.parametrize(
    ("kind", "fixed", "moving", "why"),
    [
        ("rigid", FOUR, FOUR[:3], "4 fixed and 3 moving landmarks; give them in pairs"),
        ("rigid", FOUR[:2], FOUR[:2], "at least 3 pairs of landmarks but got 2"),
        ("thin-plate", FOUR[:3], FOUR[:3], "at least 4 pairs of landmarks but got 3"),
        ("rigid", LINE, FOUR, "fixed landmarks all lie on one line"),
        ("affine", FOUR, PLANE, "moving landmarks all lie in one plane"),
        ("thin-plate", [*FOUR, FOUR[0]], [*FOUR, (5.0, 5.0, 5.0)], "two fixed landmarks lie on one another"),
    ],
)
def test_landmarks_that_determine_nothing_are_bad_input(kind, fixed, moving, why):
    engine = open_registrar(f"landmarks-{kind}")
    with pytest.raises(BadInput, match=why):
        engine.register(head(), head(), silent, Guidance(fixed_points=fixed, moving_points=moving))


@pytest.mark.parametrize("name", ["affine", "fast-affine", "svf-fast"])
def test_images_apart_that_are_to_be_taken_as_they_lie_are_bad_input(name):
    far = head()
    far.SetOrigin((900.0, -400.0, 700.0))
    with pytest.raises(BadInput, match="do not overlap in space; give an initial transform"):
        open_registrar(name, Options(device="cpu", start="as-is")).register(head(), far, silent)


def command(tmp_path, capsys, moving, *arguments):
    paths = [str(tmp_path / f"{name}.nii.gz") for name in ("fixed", "moving")]
    for path, image in zip(paths, (moved(SMALL_TURN), moving), strict=True):
        sitk.WriteImage(image, path)
    code = main(["register", *paths, "--out", str(tmp_path / "t.h5"), *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def points(path, places):
    path.write_text("\n".join(",".join(map(str, place)) for place in places))
    return str(path)


def test_another_modality_by_a_measure_for_one_is_told(tmp_path, capsys):
    values = sitk.GetArrayFromImage(head())
    other = Geometry.of(head()).image(np.sin(values / 30.0).astype(np.float32))
    quick = ("--engine", "fast-rigid", "--measure", "ncc", "--start", "as-is", "--turns", "0", "--device", "cpu")
    code, told = command(tmp_path, capsys, other, *quick)
    assert code == 0
    assert any("register them with mutual information or MIND" in notice for notice in told["notices"])
    _, told = command(tmp_path, capsys, head(), *quick)
    assert not any("modalities" in notice for notice in told["notices"])


def test_points_outside_the_image_are_told_and_unequal_counts_end_the_command(tmp_path, capsys):
    places = [*INSIDE, (900.0, 0.0, 0.0)]
    moving = points(tmp_path / "moving.csv", [SMALL_TURN.TransformPoint(p) for p in places])
    sides = ["--engine", "landmarks-rigid", "--moving-points", moving, "--fixed-points"]
    code, told = command(tmp_path, capsys, head(), *sides, points(tmp_path / "fixed.csv", places))
    assert code == 0
    assert any("1 of 28 fixed landmarks lie outside the image" in notice for notice in told["notices"])
    code, told = command(tmp_path, capsys, head(), *sides, points(tmp_path / "fixed.csv", INSIDE))
    assert code == 2
    assert "27 fixed and 28 moving landmarks" in told["error"]


def test_a_folding_transform_is_red_on_the_sheet(tmp_path):
    mirror = sitk.AffineTransform(3)
    mirror.SetMatrix((-1, 0, 0, 0, 1, 0, 0, 0, 1))
    fixed = moved(SMALL_TURN)
    for name, transform, red in (("folds", mirror, True), ("right", SMALL_TURN, False)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)
            found = review(Pair(fixed, head()), transform)
        sheet = Sheet("f", "m", "t", checks(found.for_verdict(), Thresholds()), found.as_json())
        page = registration_jobs.report(sheet, fixed, head(), transform, tmp_path / name).read_text()
        row = next(line for line in page.splitlines() if "Jacobian determinant of 0 or less" in line)
        assert ('class="failed"' in row) == red
        assert ".failed { color: #b00020" in page
