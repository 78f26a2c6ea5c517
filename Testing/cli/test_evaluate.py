import json
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.cli import main
from medseg.files import write_segmentation
from medseg.geometry import Geometry
from medseg.segmentation import PALETTE, Segment, Segmentation

GRID = Geometry((16, 14, 12), (0.8, 0.8, 2.5), (-20.0, 5.0, 30.0), (-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def labels(*corners, names=None, grid=GRID):
    array = np.zeros(grid.shape, np.uint8)
    for number, (k, j, i) in enumerate(corners):
        array[k : k + 4, j : j + 4, i : i + 4] = number + 1
    known = names or [f"Segment {n + 1}" for n in range(len(corners))]
    return Segmentation(grid.image(array), tuple(Segment(n + 1, name, PALETTE[n]) for n, name in enumerate(known)))


@pytest.fixture
def files(tmp_path):
    """A prediction whose second label is shifted by one voxel along i, and its reference."""
    prediction, reference = tmp_path / "prediction.nii.gz", tmp_path / "reference.nii.gz"
    sitk.WriteImage(labels((1, 1, 1), (6, 6, 7)).labels, str(prediction))
    sitk.WriteImage(labels((1, 1, 1), (6, 6, 6)).labels, str(reference))
    return str(prediction), str(reference)


def evaluated(capsys, *arguments):
    code = main(["evaluate", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_json_holds_every_score_of_every_label(capsys, files):
    code, data = evaluated(capsys, *files)
    assert code == 0
    assert list(data) == ["files", "labels", "mean", "notices"]
    first, second = data["labels"]
    volume = 64 * 0.8 * 0.8 * 2.5 / 1000
    assert first == {
        "name": "Segment 1", "value": 1, "dice": 1.0, "iou": 1.0, "average_hausdorff_mm": 0.0, "hd95_mm": 0.0,
        "nsd": 1.0, "nsd_tolerance_mm": 1.0, "volumes": {
            "prediction_ml": pytest.approx(volume), "reference_ml": pytest.approx(volume),
            "prediction_voxels": 64, "reference_voxels": 64,
        },
    }  # fmt: skip
    assert (second["dice"], second["iou"]) == (0.75, 0.6)
    assert second["hd95_mm"] == pytest.approx(0.8, abs=1e-6)
    assert 0 < second["average_hausdorff_mm"] < 0.8
    assert data["mean"]["dice"] == pytest.approx(0.875)
    assert sorted(data["mean"]) == ["average_hausdorff_mm", "dice", "hd95_mm", "iou", "nsd"]
    assert data["files"] == {"prediction": files[0], "reference": files[1]}
    assert data["notices"] == []


def test_the_tolerance_is_the_users(capsys, files):
    strict = evaluated(capsys, *files, "--tolerance-mm", "0.1")[1]["labels"][1]
    loose = evaluated(capsys, *files, "--tolerance-mm", "0.8")[1]["labels"][1]
    assert (strict["nsd_tolerance_mm"], loose["nsd_tolerance_mm"]) == (0.1, 0.8)
    assert strict["nsd"] < loose["nsd"] == 1


def test_people_get_a_table_with_aligned_columns(capsys, files):
    assert main(["evaluate", *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[0].split()) == "Label Value Dice IoU Avg. Hausdorff HD95 NSD Predicted Reference"
    assert lines[1].split() == ["mm", "mm", "at", "1", "mm", "ml", "ml"]
    assert lines[2].split() == ["Segment", "1", "1", "1.0000", "1.0000", "0.00", "0.00", "1.0000", "0.10", "0.10"]
    assert lines[-1].split()[:3] == ["Mean", "0.8750", "0.8000"]
    assert lines[2].index("1.0000") + 6 == lines[0].index("Dice") + 4


def test_a_missed_label_is_null_in_json_and_a_dash_in_the_table(capsys, tmp_path):
    prediction, reference = tmp_path / "p.nrrd", tmp_path / "r.nrrd"
    sitk.WriteImage(labels((1, 1, 1)).labels, str(prediction))
    sitk.WriteImage(labels((1, 1, 1), (6, 6, 6)).labels, str(reference))
    code, data = evaluated(capsys, str(prediction), str(reference))
    missed = data["labels"][1]
    assert (code, missed["dice"], missed["hd95_mm"], data["mean"]["hd95_mm"]) == (0, 0, None, None)
    assert (missed["volumes"]["prediction_voxels"], missed["volumes"]["reference_voxels"]) == (0, 64)
    assert main(["evaluate", str(prediction), str(reference)]) == 0
    assert capsys.readouterr().out.splitlines()[3].split()[2:7] == ["2", "0.0000", "0.0000", "-", "-"]


def test_slicer_segmentations_are_compared_by_name(capsys, tmp_path):
    prediction, reference = tmp_path / "p.seg.nrrd", tmp_path / "r.seg.nrrd"
    write_segmentation(labels((1, 1, 1), (6, 6, 6), names=["Liver", "Spleen"]), prediction)
    write_segmentation(labels((6, 6, 6), (1, 1, 1), names=["Spleen", "Liver"]), reference)
    _, data = evaluated(capsys, str(prediction), str(reference))
    assert {label["name"]: label["dice"] for label in data["labels"]} == {"Liver": 1.0, "Spleen": 1.0}


def test_control_codes_in_names_do_not_reach_the_terminal(capsys, tmp_path):
    hostile = tmp_path / "hostile.nii.gz"
    sitk.WriteImage(labels((1, 1, 1)).labels, str(hostile))
    (tmp_path / "hostile.tsv").write_text("index\tname\n1\tLiver\x1b[2J\n")
    assert main(["evaluate", str(hostile), str(hostile)]) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith("Liver?[2J")


def test_another_grid_is_a_notice_on_standard_error_and_in_json(capsys, files, tmp_path):
    fine = sitk.DICOMOrient(sitk.ReadImage(files[0]), "RAI")
    sitk.WriteImage(fine, str(tmp_path / "turned.nii.gz"))
    assert main(["evaluate", str(tmp_path / "turned.nii.gz"), files[1], "--json"]) == 0
    said = capsys.readouterr()
    assert len(json.loads(said.out)["notices"]) == 1
    assert "resampled to the reference's" in json.loads(said.out)["notices"][0]
    assert "resampled to the reference's" in said.err


def test_no_common_space_is_bad_input_that_names_both_files(capsys, files, tmp_path):
    far = labels((1, 1, 1), grid=Geometry(GRID.size, GRID.spacing, (900.0, 0.0, 0.0), GRID.direction))
    sitk.WriteImage(far.labels, str(tmp_path / "far.nii.gz"))
    code, data = evaluated(capsys, str(tmp_path / "far.nii.gz"), files[1])
    assert (code, data["exit_code"]) == (2, 2)
    for words in ("far.nii.gz", "reference.nii.gz", "do not overlap in space"):
        assert words in data["error"]


@pytest.mark.parametrize("tolerance", ["-1", "nan", "inf"])
def test_a_tolerance_that_is_no_distance_is_bad_input(capsys, files, tolerance):
    assert main(["evaluate", *files, f"--tolerance-mm={tolerance}"]) == 2
    assert "--tolerance-mm" in capsys.readouterr().err


def test_a_missing_file_is_bad_input_that_names_it(capsys, files):
    assert main(["evaluate", files[0], "nowhere.nii.gz"]) == 2
    assert "nowhere.nii.gz" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["one.nii.gz"], ["a", "b", "--tolerance-mm", "wide"]])
def test_wrong_usage_is_exit_code_2(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", *arguments])
    assert stopped.value.code == 2
    assert "usage: medseg evaluate" in capsys.readouterr().err


def test_two_empty_label_maps_have_nothing_to_compare(capsys, tmp_path):
    empty = tmp_path / "empty.nii.gz"
    sitk.WriteImage(labels().labels, str(empty))
    code, data = evaluated(capsys, str(empty), str(empty))
    assert (code, data["labels"], data["mean"]["dice"], len(data["notices"])) == (0, [], None, 1)
    assert main(["evaluate", str(empty), str(empty)]) == 0
    assert "No labels to compare." in capsys.readouterr().out


def test_the_command_runs_as_a_program(files):
    command = [sys.executable, "-m", "medseg.cli", "evaluate", *files, "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["labels"][1]["dice"] == 0.75


def test_evaluation_does_not_load_torch(files):
    program = "import sys; from medseg.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", program, "evaluate", *files]
    done = subprocess.run(command, check=False, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
