"""Files appear whole or not at all, and where they cannot, it is said before long work."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.atomic import replacing
from medseg.errors import BadInput, Failed
from medseg.files import (
    check_writable,
    read_image,
    read_provenance,
    read_segmentation,
    write_image,
    write_provenance,
    write_segmentation,
)
from medseg.segmentation import Segment, Segmentation
from medseg.segmenter import Provenance

IMAGES = (".nii", ".nii.gz", ".nrrd", ".mha")
ALL = (*IMAGES, ".seg.nrrd")
LIMIT = 20_000
NOISE = np.random.default_rng(0).integers(0, 30000, (32, 32, 32)).astype(np.int16)
MADE = Provenance("brain", "1.0", "ab" * 32, {"torch": "2.13"}, "cpu", "2026-01-02T03:04:05+00:00", notes=("größer",))

# a process of its own, because both the file-size limit and the loss of privileges are for good
SCRIPT = """
import resource, sys
import numpy as np, SimpleITK as sitk
from medseg.errors import BadInput, Failed
from medseg.files import check_writable, read_image, write_image, write_provenance, write_segmentation
from medseg.segmentation import Segment, Segmentation
from medseg.segmenter import Provenance
task, path, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
image = sitk.GetImageFromArray(np.random.default_rng(1).integers(0, 30000, (32, 32, 32)).astype(np.int16))
try:
    if task == "read":
        read_image(path)
    elif task == "check":
        check_writable(path)
    elif task == "image":
        write_image(image, path)
    elif task == "segmentation":
        write_segmentation(Segmentation(image, (Segment(1, "one", (1, 0, 0)),)), path)
    else:
        write_provenance(Provenance("m", "1", "", {}, "cpu", "now", notes=("x" * 50000,)), path)
except (BadInput, Failed) as fault:
    sys.exit(f"{type(fault).__name__}: {fault}")
"""


def told_by_process(task, path, limit=0, bound=()):
    done = subprocess.run(
        [*bound, sys.executable, "-c", SCRIPT, task, str(path), str(limit)], capture_output=True, text=True, check=False
    )
    return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""


def without_privileges():
    """A command prefix under which root is bound by permissions as anyone is."""
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if not setpriv:
        pytest.skip("root without setpriv can write anywhere")
    return (setpriv, "--bounding-set=-all", "--inh-caps=-all")


@pytest.mark.parametrize("suffix", IMAGES)
def test_a_full_disk_is_noticed_and_leaves_the_earlier_file(tmp_path, suffix):
    target = tmp_path / f"result{suffix}"
    write_image(sitk.GetImageFromArray(NOISE), target)
    before = target.read_bytes()
    told = told_by_process("image", target, LIMIT)
    assert told == f"Failed: {target} could not be written: File too large; what was there before is unchanged"
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("suffix", ALL)
def test_a_full_disk_leaves_neither_segmentation_nor_table(tmp_path, suffix):
    target = tmp_path / f"result{suffix}"
    assert "could not be written: File too large" in told_by_process("segmentation", target, LIMIT)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_no_provenance(tmp_path):
    assert "result.json could not be written: File too large" in told_by_process(
        "provenance", tmp_path / "result.nrrd", LIMIT
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_disk_that_fills_up_at_any_moment_is_noticed(tmp_path, suffix):
    write_image(sitk.GetImageFromArray(NOISE), tmp_path / f"whole{suffix}")
    whole = (tmp_path / f"whole{suffix}").stat().st_size
    for limit in (1, 200, 352, whole // 2, whole - 1):
        assert "File too large" in told_by_process("image", tmp_path / f"part{suffix}", limit), limit
    assert not (tmp_path / f"part{suffix}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system of 32 kB in a namespace of its own")
def test_a_real_full_file_system_is_noticed(tmp_path):
    script = (
        f'mount -t tmpfs -o size=32k none "{tmp_path}" || exit 77; "$@" image "{tmp_path}/result.nii.gz" 0;'
        f' echo "left: $(ls -A "{tmp_path}")" >&2'
    )
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", sys.executable, "-c", SCRIPT],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this system does not let a user mount a file system")
    assert "could not be written: No space left on device" in done.stderr
    assert done.stderr.rstrip().endswith("left:")


@pytest.mark.parametrize("task", ["check", "image", "segmentation", "provenance"])
def test_a_read_only_folder_is_told_before_the_work(tmp_path, task):
    tmp_path.chmod(0o555)
    try:
        told = told_by_process(task, tmp_path / "result.nii.gz", bound=without_privileges())
    finally:
        tmp_path.chmod(0o755)
    assert told.startswith("BadInput: ")
    assert "could not" not in told
    assert told.endswith("cannot be written: Permission denied; choose a folder you may write to")


def test_a_file_that_may_not_be_read_is_told(tmp_path):
    target = tmp_path / "private.nii.gz"
    write_image(sitk.GetImageFromArray(NOISE), target)
    target.chmod(0)
    told = told_by_process("read", target, bound=without_privileges())
    assert told == f"BadInput: {target} may not be read by you; ask its owner, or copy it"


def test_a_protected_file_is_told_before_the_work(tmp_path):
    target = tmp_path / "result.nii.gz"
    target.write_bytes(b"precious")
    target.chmod(0o444)
    told = told_by_process("image", target, bound=without_privileges())
    assert told == f"BadInput: {target} is write-protected; choose another name or allow writing"
    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("write", [check_writable, lambda p: write_image(sitk.Image(4, 4, sitk.sitkUInt8), p)])
def test_places_and_names_that_will_not_do(tmp_path, write):
    with pytest.raises(BadInput, match=r"the folder .*nowhere does not exist; create it"):
        write(tmp_path / "nowhere" / "result.nii.gz")
    for name in ("result.txt", "result", "result.gz", "result.png", ".nii.gz"):
        with pytest.raises(BadInput, match=r"end the name in \.nii\.gz, \.nii, \.nrrd, \.seg\.nrrd or \.mha"):
            write(tmp_path / name)
    (tmp_path / "folder.nii.gz").mkdir()
    with pytest.raises(BadInput, match="is a folder; name a file in it"):
        write(tmp_path / "folder.nii.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.nii.gz"]


def test_a_place_that_will_do_is_left_as_it_was(tmp_path):
    for suffix in ALL:
        check_writable(tmp_path / f"result{suffix}")
        check_writable(str(tmp_path / f"Result{suffix.upper()}"))
    assert not list(tmp_path.iterdir())


def test_an_image_is_not_named_seg_nrrd(tmp_path):
    with pytest.raises(BadInput, match=r"holds segmentations; name an image \.nrrd"):
        write_image(sitk.Image(4, 4, sitk.sitkUInt8), tmp_path / "image.seg.nrrd")


def test_a_block_that_breaks_leaves_everything_as_it_was(tmp_path):
    target = tmp_path / "result.json"
    target.write_text("old")

    def broken(fault):
        with replacing(target, tmp_path / "other.txt") as (draft, other):
            draft.write_text("new")
            other.write_text("new")
            raise fault

    for fault in (KeyboardInterrupt, ValueError, Failed):
        with pytest.raises(fault):
            broken(fault)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_replaced_before_all_is_written(tmp_path):
    with (
        pytest.raises(Failed, match=r"b\.txt could not be written"),
        replacing(tmp_path / "a.txt", tmp_path / "b.txt") as drafts,
    ):
        drafts[0].write_text("written")
    assert not list(tmp_path.iterdir())


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "real" / "file.json")
    with replacing(tmp_path / "link.json") as (draft,):
        draft.write_text("new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real" / "file.json").read_text() == "new"


def test_a_new_file_has_the_permissions_that_files_get_here(tmp_path):
    (tmp_path / "plain.txt").touch()
    write_image(sitk.GetImageFromArray(NOISE), tmp_path / "result.nii.gz")
    assert (tmp_path / "result.nii.gz").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_an_earlier_result_is_replaced(tmp_path):
    for voxels in (NOISE, NOISE[:8]):
        write_image(sitk.GetImageFromArray(voxels), tmp_path / "result.nii.gz")
        assert np.array_equal(sitk.GetArrayFromImage(read_image(tmp_path / "result.nii.gz")), voxels)


def test_names_are_kept_up_to_date_with_labels(tmp_path):
    image = sitk.GetImageFromArray(np.ones((3, 3, 3), np.uint8))
    for name in ("liver", "spleen"):
        write_segmentation(Segmentation(image, (Segment(1, name, (1, 0, 0)),)), tmp_path / "result.nii.gz")
        assert read_segmentation(tmp_path / "result.nii.gz").segments[0].name == name


@pytest.mark.parametrize("name", ["result.nii.gz", "result.seg.nrrd", "result.mha"])
def test_provenance_lies_beside_the_result(tmp_path, name):
    written = write_provenance(MADE, tmp_path / name)
    assert written == tmp_path / "result.json"
    assert read_provenance(written) == MADE
    assert read_provenance(tmp_path / name) == MADE
    assert "größer" in written.read_text(encoding="utf-8")


def test_provenance_needs_its_folder(tmp_path):
    with pytest.raises(BadInput, match="does not exist; create it"):
        write_provenance(MADE, tmp_path / "nowhere" / "result.nii.gz")


def test_the_limit_of_these_tests_is_not_in_force_here():
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert Path(sys.executable).exists()
