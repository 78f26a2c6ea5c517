import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.geometry import Geometry
from medseg.report.slices import AXIAL, CORONAL, PICTURE, SAGITTAL, planes, slices, spread, tilt
from medseg.segmentation import PALETTE, Segment, Segmentation

SIZE = (22, 26, 18)
SPACING = (2.0, 1.5, 2.5)


def rotation(degrees, axis):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    first, second = [a for a in range(3) if a != axis]
    matrix[first, first], matrix[first, second], matrix[second, first], matrix[second, second] = c, -s, s, c
    return matrix


DIRECTIONS = {
    "identity": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "left-handed": np.diag([1.0, 1.0, -1.0]),
    "permuted": np.eye(3)[:, [2, 0, 1]] * [1, -1, -1],
    "oblique": rotation(25, 2) @ rotation(-15, 0),
    "oblique, left-handed": rotation(20, 1) @ np.diag([-1.0, 1.0, 1.0]),
}
LETTERS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}


def a_grid(direction, spacing=SPACING):
    return Geometry(SIZE, spacing, (12.0, -30.0, 44.0), tuple(np.asarray(direction, float).ravel()))


@pytest.fixture(params=DIRECTIONS)
def grid(request):
    return a_grid(DIRECTIONS[request.param])


def points(grid):
    """LPS mm of every voxel centre from the middle of the grid, shape (k, j, i, 3)."""
    indices = np.stack(np.indices(grid.shape)[::-1], axis=-1)
    middle = [(n - 1) / 2 for n in grid.size]
    return (indices - middle) @ (grid.cosines * grid.spacing).T


def segmentation(grid, mask, name="Marker"):
    return Segmentation(grid.image(mask.astype(np.uint8)), (Segment(1, name, PALETTE[0]),))


def corner(grid):
    """A mask of the patient's right, anterior, superior corner."""
    place = points(grid) @ np.array([-1.0, -1.0, 1.0])
    return place > np.percentile(place, 97)


@pytest.mark.parametrize("plane", [AXIAL, CORONAL, SAGITTAL], ids=lambda plane: plane.name)
def test_right_anterior_superior_lies_left_and_up_in_every_plane(grid, plane):
    marked = segmentation(grid, corner(grid))
    shown = slices(marked.labels, marked, plane, 4)
    assert any(cut.masks for cut in shown)
    for cut in shown:
        for _, mask in cut.masks:
            row, column = np.argwhere(mask).mean(axis=0)
            assert row < 0.4 * (mask.shape[0] - 1)
            assert column < 0.4 * (mask.shape[1] - 1)
            assert cut.gray[mask].min() > cut.gray[~mask].max()


@pytest.mark.parametrize("plane", [AXIAL, CORONAL, SAGITTAL], ids=lambda plane: plane.name)
def test_letters_name_the_direction_in_which_the_picture_runs(grid, plane):
    left, right, top, bottom = plane.edges
    for letter, axis, step in ((left, 1, -1), (right, 1, 1), (top, 0, -1), (bottom, 0, 1)):
        image = grid.image((points(grid) @ np.array(LETTERS[letter], float)).astype(np.float32))
        (cut,) = slices(image, segmentation(grid, np.zeros(grid.shape, bool)), plane, 1)
        inner = cut.gray[4:-4, 4:-4]
        assert (np.diff(inner, axis=axis) * step).mean() > 0
        assert abs(np.diff(inner, axis=axis).mean()) > abs(np.diff(inner, axis=1 - axis).mean())


def test_every_plane_shows_its_own_two_axes_at_their_spacing():
    marked = segmentation(a_grid(np.eye(3)), np.ones(SIZE[::-1], bool))
    spacings = [slices(marked.labels, marked, plane, 1)[0].spacing for plane in (AXIAL, CORONAL, SAGITTAL)]
    assert spacings == [(1.5, 2.0), (2.5, 2.0), (2.5, 1.5)]
    shapes = [slices(marked.labels, marked, plane, 1)[0].gray.shape for plane in (AXIAL, CORONAL, SAGITTAL)]
    assert shapes == [(26, 22), (18, 22), (18, 26)]


def test_positions_are_patient_coordinates():
    grid = Geometry((3, 3, 3), (10.0, 10.0, 10.0), (-10.0, -20.0, 40.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    whole = segmentation(grid, np.ones(grid.shape, bool))
    names = [[cut.position for cut in slices(whole.labels, whole, plane, 3)] for plane in (AXIAL, CORONAL, SAGITTAL)]
    assert names == [
        ["S 60 mm", "S 50 mm", "S 40 mm"], ["A 20 mm", "A 10 mm", "P 0 mm"], ["R 10 mm", "L 0 mm", "L 10 mm"]
    ]  # fmt: skip


def test_slices_run_through_the_segment(grid):
    mask = (np.abs(points(grid) - (6, -5, 4)) < 6).all(axis=-1)
    marked = segmentation(grid, mask)
    for plane in (AXIAL, CORONAL, SAGITTAL):
        shown = slices(marked.labels, marked, plane, 3)
        assert len(shown) == 3
        assert all(cut.masks for cut in shown)


def test_slices_run_through_the_whole_volume_where_nothing_was_found():
    nothing = segmentation(a_grid(np.eye(3)), np.zeros(SIZE[::-1], bool))
    shown = slices(nothing.labels, nothing, AXIAL, 6)
    assert [cut.masks for cut in shown] == [()] * 6
    heights = [int(cut.position.split()[1]) for cut in shown]
    assert max(heights) - min(heights) > 0.7 * SIZE[2] * SPACING[2]


@pytest.mark.parametrize(
    ("low", "high", "size", "count"), [*itertools.product([0, 3, 9], [9, 11, 19], [20], [1, 4, 6])]
)
def test_chosen_indices_are_inside_in_order_and_different(low, high, size, count):
    chosen = spread(low, high, size, count)
    assert len(chosen) == count
    assert chosen == sorted(set(chosen))
    assert 0 <= chosen[0] <= chosen[-1] < size


def test_a_volume_of_few_slices_shows_them_all():
    assert spread(1, 1, 3, 6) == [0, 1, 2]


def test_overlapping_segments_are_all_in_the_picture():
    grid = a_grid(np.eye(3))
    inner = (np.abs(points(grid)) < 5).all(axis=-1)
    layers = np.stack([np.ones(grid.shape, np.uint8), inner.astype(np.uint8)], axis=-1)
    segments = Segment(1, "Organ", PALETTE[0]), Segment(1, "Lesion", PALETTE[1], layer=1)
    (cut,) = slices(grid.image(inner.astype(np.uint8)), Segmentation(grid.image(layers), segments), CORONAL, 1)
    assert {segment.name: int(mask.sum()) for segment, mask in cut.masks} == {
        "Organ": cut.gray.size,
        "Lesion": int((cut.gray > 0.5).sum()),
    }


def test_slices_run_through_segments_of_every_layer():
    grid = a_grid(np.eye(3))
    lesion = (np.abs(points(grid) - (6, -5, 4)) < 6).all(axis=-1)
    layers = np.stack([np.zeros(grid.shape, np.uint8), lesion.astype(np.uint8)], axis=-1)
    marked = Segmentation(grid.image(layers), (Segment(1, "Lesion", PALETTE[1], layer=1),))
    for plane in (AXIAL, CORONAL, SAGITTAL):
        assert all(cut.masks for cut in slices(grid.image(lesion.astype(np.uint8)), marked, plane, 3))


def test_an_image_of_coarser_voxels_is_shown_smoothly():
    grid = a_grid(np.eye(3))
    marked = segmentation(grid, np.ones(grid.shape, bool))
    coarse = grid.resized((6, 26, 18))
    ramp = coarse.image(np.broadcast_to(np.arange(6, dtype=np.float32), coarse.shape).copy())
    (cut,) = slices(ramp, marked, AXIAL, 1)
    assert len(np.unique(cut.gray[3].round(3))) > 12


def test_an_image_on_another_grid_is_shown_where_it_lies():
    grid = a_grid(np.eye(3))
    marked = segmentation(grid, corner(grid))
    elsewhere = sitk.DICOMOrient(marked.labels, "SAR")
    for one, other in zip(slices(marked.labels, marked, AXIAL, 3), slices(elsewhere, marked, AXIAL, 3), strict=True):
        np.testing.assert_allclose(one.gray, other.gray, atol=1e-5)


def test_a_radiograph_is_one_picture_as_stored():
    array = np.arange(48, dtype=np.uint8).reshape(6, 8)
    image = Geometry((8, 6), (0.2, 0.3), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0)).image(array)
    assert planes(Geometry.of(image)) == (PICTURE,)
    (cut,) = slices(
        image, Segmentation(sitk.Cast(image > 40, sitk.sitkUInt8), (Segment(1, "x", PALETTE[0]),)), PICTURE, 6
    )
    assert (cut.gray.shape, cut.spacing, cut.position) == ((6, 8), (0.3, 0.2), "")
    assert cut.gray[0, 0] < cut.gray[0, 7] < cut.gray[5, 7]
    np.testing.assert_array_equal(cut.masks[0][1], array > 40)


def test_a_colour_picture_is_shown_by_its_first_component():
    grid = Geometry((5, 4), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0))
    color = np.zeros((4, 5, 3), np.uint8)
    color[1, 2, 0] = 255
    (cut,) = slices(grid.image(color), segmentation(grid, np.zeros((4, 5), bool)), PICTURE, 1)
    assert np.argwhere(cut.gray > 0.5).tolist() == [[1, 2]]


def test_a_volume_of_one_slice_is_shown_in_the_one_plane_that_shows_it():
    grid = Geometry((9, 1, 7), (1.0, 4.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    assert planes(grid) == (CORONAL,)
    thin = segmentation(grid, np.ones(grid.shape, bool))
    assert [cut.gray.shape for cut in slices(thin.labels, thin, CORONAL, 6)] == [(7, 9)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_number_do_not_spoil_the_contrast(bad):
    grid = a_grid(np.eye(3))
    ramp = points(grid)[..., 0].astype(np.float32)
    ramp[:, ::3, :] = bad
    whole = segmentation(grid, np.ones(grid.shape, bool))
    for cut in slices(grid.image(ramp), whole, AXIAL, 18):
        assert np.isfinite(cut.gray).all()
        assert np.ptp(cut.gray) == 1


def test_padding_around_a_circle_does_not_set_the_contrast():
    grid = a_grid(np.eye(3))
    hounsfield = np.where(np.abs(points(grid)[..., 0]) > 15, -3024, points(grid)[..., 1] * 10).astype(np.int16)
    (cut,) = slices(grid.image(hounsfield), segmentation(grid, np.ones(grid.shape, bool)), AXIAL, 1)
    assert cut.gray[1, 11] < 0.1
    assert cut.gray[-2, 11] > 0.9


def test_a_constant_image_can_be_shown():
    grid = a_grid(np.eye(3))
    whole = segmentation(grid, np.ones(grid.shape, bool))
    with np.errstate(all="raise"):
        (cut,) = slices(whole.labels, whole, AXIAL, 1)
    assert np.ptp(cut.gray) == 0


def test_the_tilt_is_the_angle_to_the_patient_axes():
    assert tilt(a_grid(DIRECTIONS["permuted"])) == 0
    assert tilt(a_grid(rotation(25, 2))) == pytest.approx(25)
    assert tilt(Geometry((4, 4), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0))) == 0
