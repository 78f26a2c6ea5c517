"""DICOM series, written slice by slice with pydicom."""

import warnings

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medseg.errors import BadInput, Notice
from medseg.files import read_image, read_segmentation, read_volumes
from medseg.geometry import Geometry


def save_slice(path, pixels, position=None, cosines=(1, 0, 0, 0, 1, 0), *, series="1.2.3", spacing=(2.0, 1.5), **more):
    slice_ = Dataset()
    slice_.file_meta = FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID = CTImageStorage
    slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID = generate_uid()
    slice_.SeriesInstanceUID = series
    slice_.Modality = "CT"
    slice_.Rows, slice_.Columns = pixels.shape
    slice_.PixelSpacing = list(spacing)
    if position is not None:
        slice_.ImagePositionPatient = [f"{x:.10g}" for x in position]
        slice_.ImageOrientationPatient = [f"{x:.10g}" for x in cosines]
    slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
    slice_.BitsAllocated = slice_.BitsStored = 16
    slice_.HighBit, slice_.PixelRepresentation = 15, 1
    slice_.RescaleIntercept, slice_.RescaleSlope = -1024, 1
    slice_.update(Dataset())
    for key, value in more.items():
        setattr(slice_, key, value)
    slice_.PixelData = pixels.astype(np.int16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    slice_.save_as(path, enforce_file_format=True)


def save_series(folder, grid, steps=None, **more):
    """Save a stack whose voxels hold their own number; file names run against the order of positions."""
    voxels = np.arange(np.prod(grid.size)).reshape(grid.shape)
    i, j = grid.cosines[:, 0], grid.cosines[:, 1]
    for k in range(grid.size[2]):
        position = grid.point((0, 0, k if steps is None else steps[k]))
        name = f"{(37 * k + 50) % 97:02d}.dcm"
        save_slice(folder / name, voxels[k], position, (*i, *j), spacing=grid.spacing[1::-1], **more)
    return voxels - 1024


@pytest.fixture
def stack(oblique):
    """A right-handed oblique grid of eight slices."""
    handed = np.linalg.det(oblique.cosines)
    assert handed > 0
    return Geometry((5, 4, 8), (1.5, 2.0, 2.5), oblique.origin, oblique.direction)


def test_slices_are_put_in_the_order_of_their_positions(tmp_path, stack):
    voxels = save_series(tmp_path, stack)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = read_image(tmp_path)
    assert Geometry.of(image).same_as(stack)
    assert np.array_equal(sitk.GetArrayFromImage(image), voxels)


def test_a_series_is_found_in_sub_folders_among_other_files(tmp_path, stack):
    voxels = save_series(tmp_path / "study" / "series", stack)
    (tmp_path / "study" / "notes.txt").write_text("no image")
    save_slice(tmp_path / "study" / "report.dcm", voxels[0])
    report = pydicom.dcmread(tmp_path / "study" / "report.dcm")
    for key in ("PixelData", "Rows", "Columns", "BitsAllocated", "SamplesPerPixel"):
        delattr(report, key)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.save_as(tmp_path / "study" / "report.dcm")
    with pytest.warns(Notice, match=r"1 DICOM file\(s\) without an image left out: report.dcm"):
        image = read_image(tmp_path)
    assert np.array_equal(sitk.GetArrayFromImage(image), voxels)


@pytest.mark.parametrize("part", [0.5, 0.99])
def test_a_damaged_slice_is_refused_though_it_is_the_last(tmp_path, stack, part):
    save_series(tmp_path, stack)
    last = tmp_path / f"{(37 * 7 + 50) % 97:02d}.dcm"
    raw = last.read_bytes()
    last.write_bytes(raw[: raw.index(b"OW") + int(part * (len(raw) - raw.index(b"OW")))])
    with pytest.raises(BadInput, match=rf"{last.name} cannot be read"):
        read_image(tmp_path)


def test_a_series_in_colour_is_refused(tmp_path):
    for k in range(3):
        save_slice(tmp_path / f"{k}.dcm", np.zeros((4, 5)), (0, 0, k))
        slice_ = pydicom.dcmread(tmp_path / f"{k}.dcm")
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation, slice_.PlanarConfiguration = 3, "RGB", 0
        slice_.BitsAllocated = slice_.BitsStored = 8
        slice_.HighBit, slice_.PixelRepresentation, slice_.PixelData = 7, 0, bytes(range(60))
        del slice_.RescaleSlope, slice_.RescaleIntercept
        slice_.save_as(tmp_path / f"{k}.dcm")
    for source in (tmp_path, tmp_path / "1.dcm"):
        with pytest.raises(BadInput, match="holds 3 volumes"):
            read_image(source)
        assert [volume[1, 0, 0] for volume in read_volumes(source)] == [3, 4, 5]


def test_one_of_two_series_is_chosen_by_its_uid(tmp_path, stack):
    first = save_series(tmp_path / "a", stack, series="1.2.3", SeriesDescription="thin")
    save_series(tmp_path / "b", Geometry((5, 4, 3), *_rest(stack)), series="1.2.4", SeriesDescription="thick")
    assert np.array_equal(sitk.GetArrayFromImage(read_image(f"{tmp_path}#1.2.3")), first)
    assert read_image(f"{tmp_path}#1.2.4").GetSize() == (5, 4, 3)
    assert read_volumes(f"{tmp_path}#1.2.4")[0].GetSize() == (5, 4, 3)


def test_two_series_in_one_folder_are_listed(tmp_path, stack):
    save_series(tmp_path / "a", stack, series="1.2.3", SeriesDescription="thin")
    save_series(tmp_path / "b", Geometry((5, 4, 3), *_rest(stack)), series="1.2.4", SeriesDescription="thick")
    with pytest.raises(BadInput, match=r"2 series; choose one as FOLDER#SeriesInstanceUID") as fault:
        read_image(tmp_path)
    assert "1.2.3: CT 'thin', 8 images" in str(fault.value)
    assert "1.2.4: CT 'thick', 3 images" in str(fault.value)


def test_a_series_that_is_not_there_is_told_with_those_that_are(tmp_path, stack):
    save_series(tmp_path, stack)
    with pytest.raises(BadInput, match=r"no series 9\.9; it holds:\n  1\.2\.3"):
        read_image(f"{tmp_path}#9.9")


def test_a_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(BadInput, match="holds no DICOM images"):
        read_image(tmp_path)


@pytest.mark.parametrize("gone", [1, 4, 6])
def test_a_missing_slice_is_refused_and_placed(tmp_path, stack, gone):
    steps = [k for k in range(9) if k != gone]
    save_series(tmp_path, stack, steps)
    with pytest.raises(BadInput, match=rf"2\.5 to 5 mm apart \(slices seem to be missing after number {gone}\)"):
        read_image(tmp_path)


def test_slices_without_even_spacing_are_refused(tmp_path, stack):
    save_series(tmp_path, stack, [0, 1, 2, 3, 4.4, 5.8, 7.2, 8.6])
    with pytest.raises(BadInput, match=r"2\.5 to 3\.5 mm apart \(no even stack\)"):
        read_image(tmp_path)


def test_slices_slightly_off_are_taken_as_even_and_a_notice_says_so(tmp_path, stack):
    save_series(tmp_path, stack, [0, 1, 2, 3.05, 4, 5, 6, 7])
    with pytest.warns(Notice, match=r"not quite evenly spaced.*up to 0\.12 mm"):
        assert Geometry.of(read_image(tmp_path)).same_as(stack)


def test_two_images_at_one_place_are_refused(tmp_path, stack):
    save_series(tmp_path, stack, [0, 1, 2, 3, 3, 4, 5, 6])
    with pytest.raises(BadInput, match="more than one image at the same place"):
        read_image(tmp_path)


def test_slices_of_different_sizes_are_refused(tmp_path, stack):
    save_series(tmp_path, stack)
    save_slice(tmp_path / "scout.dcm", np.zeros((9, 9)), stack.point((0, 0, 20)), spacing=(2.0, 1.5))
    with pytest.raises(BadInput, match="images of different sizes"):
        read_image(tmp_path)


def test_slices_in_different_directions_are_refused(tmp_path, stack):
    save_series(tmp_path, stack)
    save_slice(tmp_path / "scout.dcm", np.zeros((4, 5)), stack.point((0, 0, 20)), (0, 1, 0, 0, 0, 1))
    with pytest.raises(BadInput, match="different directions or pixel sizes"):
        read_image(tmp_path)


def test_slices_that_do_not_say_where_they_lie_are_refused(tmp_path):
    for n in range(3):
        save_slice(tmp_path / f"{n}.dcm", np.zeros((4, 5)))
    with pytest.raises(BadInput, match="do not say where they lie"):
        read_image(tmp_path)


def test_a_tilted_gantry_is_straightened_and_every_voxel_keeps_its_place(tmp_path):
    tilt = np.array([0.0, 0.8, 2.0])
    weights = np.array([2.0, -3.0, 5.0])
    index = np.stack(np.meshgrid(range(12), range(10), indexing="ij"), axis=-1)
    for k in range(9):
        points = index @ np.array([[1.5, 0, 0], [0, 2.0, 0]]) + k * tilt
        save_slice(tmp_path / f"{k}.dcm", np.rint(points @ weights * 10).T, k * tilt, RescaleIntercept=0)
    with pytest.warns(Notice, match="is sheared"):
        image = read_image(tmp_path)
    grid = Geometry.of(image)
    voxels = sitk.GetArrayFromImage(image)
    checked = 0
    for k, j, i in np.ndindex(voxels.shape):
        point = np.array(grid.point((i, j, k)))
        source = np.linalg.solve(np.column_stack([[1.5, 0, 0], [0, 2.0, 0], tilt]), point)
        if (source > 0).all() and (source < [11, 9, 8]).all():
            assert voxels[k, j, i] == pytest.approx(10 * point @ weights, abs=1.01)
            checked += 1
    assert checked > 300


def test_a_single_slice_keeps_its_place(tmp_path):
    save_slice(tmp_path / "slice.dcm", np.arange(20).reshape(4, 5), (10, 20, 30))
    image = read_image(tmp_path / "slice.dcm")
    assert image.GetSize() == (5, 4, 1)
    assert image.GetOrigin() == (10, 20, 30)
    assert image[3, 2, 0] == 13 - 1024
    assert read_image(tmp_path).GetOrigin() == (10, 20, 30)


def test_a_radiograph_without_a_place_is_2d(tmp_path):
    save_slice(tmp_path / "chest.dcm", np.arange(20).reshape(4, 5), Modality="DX")
    image = read_image(tmp_path / "chest.dcm")
    assert image.GetSize() == (5, 4)
    assert image.GetSpacing() == (1.5, 2.0)
    assert image[3, 2] == 13 - 1024


def test_a_dicom_file_needs_no_suffix(tmp_path):
    save_slice(tmp_path / "IM0001", np.zeros((4, 5)), (1, 2, 3))
    assert read_image(tmp_path / "IM0001").GetOrigin() == (1, 2, 3)


def test_a_file_that_only_claims_to_be_dicom_is_refused(tmp_path):
    (tmp_path / "text.dcm").write_text("no image " * 100)
    with pytest.raises(BadInput, match="is not a DICOM file"):
        read_image(tmp_path / "text.dcm")


def test_names_of_patients_do_not_travel(tmp_path):
    save_slice(tmp_path / "slice.dcm", np.zeros((4, 5)), (1, 2, 3), PatientName="Doe^Jane")
    for image in (read_image(tmp_path / "slice.dcm"), read_image(tmp_path), *read_volumes(tmp_path / "slice.dcm")):
        assert not image.GetMetaDataKeys()


def test_a_dicom_label_map_is_read_as_labels(tmp_path):
    save_slice(tmp_path / "labels.dcm", np.eye(4, 5), (1, 2, 3), RescaleIntercept=0)
    (segment,) = read_segmentation(tmp_path).segments
    assert segment.value == 1


def _rest(grid):
    return grid.spacing, grid.origin, grid.direction
