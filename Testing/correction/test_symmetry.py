"""The mid-plane and mid-line are found, and what is proposed for the other side lies there."""

import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.correction import symmetry
from medseg.correction.symmetry import Mirror
from medseg.errors import BadInput, Notice
from medseg.files import read_image
from medseg.geometry import Geometry
from medseg.metrics import dice
from medseg.segmentation import Segment, Segmentation

HEAD = Path(__file__).parents[2] / "Resources" / "SampleData" / "colin27_t1.nii.gz"
LEFT, RIGHT, OTHER = Segment(1, "left", (1, 0, 0)), Segment(2, "right", (0, 1, 0)), Segment(3, "other", (0, 0, 1))
TURN = np.array([math.cos(0.2), math.sin(0.2) * 0.8, math.sin(0.2) * 0.6])
CENTRE = np.array([3.0, -4.0, 6.0])
GRID = Geometry((60, 50, 40), (1.0, 1.0, 1.5), (-30.0, -25.0, -20.0), tuple(np.eye(3).ravel()))
FLAT = Geometry((80, 60), (0.5, 0.7), (-20.0, -20.0), (1.0, 0.0, 0.0, 1.0))


def points(grid):
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)[..., ::-1]
    return index @ grid.affine[:-1, :-1].T + grid.affine[:-1, -1]


def egg(grid, centre):
    """An egg with a dent, which is unlike its own mirror image."""
    away = points(grid) - centre
    radius = np.sqrt((away**2 / np.array([25.0, 64.0, 49.0])[: grid.dimension]).sum(-1))
    return (radius < 1) & ~((away[..., 0] > 1) & (away[..., 1] > 3))


def degrees(one, other):
    return math.degrees(math.acos(min(1.0, abs(float(one @ other)))))


def pair(grid, mirror):
    away = mirror.point + 11 * mirror.normal
    left = egg(grid, away)
    spots = mirror.reflected(points(grid).reshape(-1, grid.dimension))
    radius = spots - away
    right = (np.sqrt((radius**2 / np.array([25.0, 64.0, 49.0])[: grid.dimension]).sum(-1)) < 1) & ~(
        (radius[:, 0] > 1) & (radius[:, 1] > 3)
    )
    return left, right.reshape(grid.shape)


@pytest.mark.parametrize("grid", [GRID, FLAT], ids=["plane", "line"])
def test_a_pair_of_masks_gives_the_mirror_between_them_and_its_image_lies_on_the_other(grid):
    normal = TURN[: grid.dimension] / np.linalg.norm(TURN[: grid.dimension])
    truth = Mirror(CENTRE[: grid.dimension], normal)
    left, right = pair(grid, truth)
    segmentation = Segmentation(grid.image((left + 2 * right).astype(np.uint8)), (LEFT, RIGHT))
    found = symmetry.from_pair(segmentation, LEFT, RIGHT)
    assert degrees(found.normal, normal) < 1.5
    assert abs(float((found.point - truth.point) @ normal)) < 0.5
    assert dice(symmetry.mirrored(segmentation, LEFT, found), right) > 0.95


def test_reflecting_twice_changes_nothing_and_the_transform_agrees():
    mirror = Mirror(CENTRE, TURN)
    spots = np.random.default_rng(0).normal(0, 40, (20, 3))
    assert np.allclose(mirror.reflected(mirror.reflected(spots)), spots)
    for spot, seen in zip(spots, mirror.reflected(spots), strict=True):
        assert np.allclose(mirror.transform.TransformPoint(spot.tolist()), seen)
        assert abs(((spot + seen) / 2 - CENTRE) @ TURN) < 1e-9


@pytest.fixture(scope="module")
def head():
    return read_image(HEAD)


def test_the_mid_plane_of_a_real_head_is_found(head):
    found = symmetry.from_image(head)
    assert degrees(found.normal, np.array([1.0, 0.0, 0.0])) < 2.5
    assert abs(float(found.point @ found.normal)) < 3  # this head lies in MNI space, whose mid-plane is x = 0


def test_the_mid_plane_goes_with_the_head_when_that_is_turned(head):
    still = symmetry.from_image(head)
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.0, 0.15, 0.2, (8.0, 5.0, 0.0))
    moved = sitk.Resample(head, head, turn.GetInverse(), sitk.sitkLinear)
    found = symmetry.from_image(moved)
    expected = np.array(turn.GetMatrix()).reshape(3, 3) @ still.normal
    assert degrees(expected, still.normal) > 10
    assert degrees(found.normal, expected) < 2
    on_plane = np.array(turn.TransformPoint(still.point.tolist()))
    assert abs(float((found.point - on_plane) @ expected)) < 2


def test_the_mid_line_of_a_turned_picture_of_a_head_is_found(head):
    picture = sitk.MeanProjection(sitk.Cast(head, sitk.sitkFloat32), 1)[:, 0, :]
    turn = sitk.Euler2DTransform((0.0, 0.0), 0.17, (6.0, 3.0))
    found = symmetry.from_image(sitk.Resample(picture, picture, turn.GetInverse()))
    still = symmetry.from_image(picture)
    expected = np.array(turn.GetMatrix()).reshape(2, 2) @ still.normal
    assert degrees(found.normal, expected) < 1.5
    assert abs(float((found.point - np.array(turn.TransformPoint(still.point.tolist()))) @ expected)) < 2


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_the_mid_line_of_a_turned_slice_of_a_head_lies_in_the_slice(head, tilt):
    one = head[:, :, 90:91]  # a volume of one slice, as 3D Slicer holds radiographs
    turn = sitk.Euler3DTransform((0.0, 0.0, 19.0), 0.0, 0.0, 0.2, (8.0, 5.0, 0.0))
    turned = sitk.Resample(one, one, turn.GetInverse())
    still = symmetry.from_image(one)
    place = np.array(turn.TransformPoint(still.point.tolist()))
    expected = np.array(turn.GetMatrix()).reshape(3, 3) @ still.normal
    tilted = sitk.Euler3DTransform((0.0, 0.0, 0.0), tilt, 0.0, 0.0)
    by = np.array(tilted.GetMatrix()).reshape(3, 3)
    turned.SetDirection((by @ np.array(turned.GetDirection()).reshape(3, 3)).ravel())
    turned.SetOrigin(tilted.TransformPoint(turned.GetOrigin()))
    found = symmetry.from_image(turned)
    assert found.normal @ by[:, 2] == pytest.approx(0)
    assert degrees(found.normal, by @ expected) < 2
    assert abs(float((found.point - by @ place) @ by @ expected)) < 2


def test_a_pair_in_a_slice_gives_a_mirror_in_the_slice():
    volume = Geometry((*FLAT.size, 1), (*FLAT.spacing, 3.0), (*FLAT.origin, 7.0), tuple(np.eye(3).ravel()))
    normal = TURN[:2] / np.linalg.norm(TURN[:2])
    left, right = pair(FLAT, Mirror(CENTRE[:2], normal))
    labels = volume.image((left + 2 * right).astype(np.uint8)[None])
    found = symmetry.from_pair(Segmentation(labels, (LEFT, RIGHT)), LEFT, RIGHT)
    assert found.normal[2] == pytest.approx(0)
    assert degrees(found.normal[:2], normal) < 1.5


def test_an_image_without_a_middle_is_refused(head):
    noise = GRID.image(np.random.default_rng(0).normal(0, 1, GRID.shape).astype(np.float32))
    with pytest.raises(BadInput, match="no middle can be fitted"):
        symmetry.from_image(noise)
    with pytest.raises(BadInput, match="from the side"):
        symmetry.from_image(head[90:91, :, :])


def test_a_proposal_replaces_the_target_and_no_voxel_of_a_neighbour():
    mirror = Mirror(np.zeros(3), np.array([1.0, 0.0, 0.0]))
    labels = np.zeros(GRID.shape, np.uint8)
    x = points(GRID)[..., 0]
    labels[10:20, 10:20][(x[10:20, 10:20] > 8) & (x[10:20, 10:20] < 18)] = 1
    labels[0:3, 0:3, 5:8] = 2  # the old, wrong right side
    labels[10:14, 10:20, 15:18] = 3
    segmentation = Segmentation(GRID.image(labels), (LEFT, RIGHT, OTHER))
    patch = symmetry.proposal(segmentation, LEFT, RIGHT, mirror)
    after = labels.copy()
    where = segmentation.geometry.slices_of(patch.geometry)
    after[where] = sitk.GetArrayFromImage(patch.after)
    assert np.array_equal(after == 3, labels == 3)
    assert np.array_equal(after == 1, labels == 1)
    seen = symmetry.mirrored(segmentation, LEFT, mirror)
    assert np.array_equal(after == 2, seen & (labels != 3))
    assert seen.any()
    assert (seen & (labels == 3)).any()
    again = Segmentation(GRID.image(after), segmentation.segments)
    assert symmetry.proposal(again, LEFT, RIGHT, mirror) is None


def test_overlapping_segments_keep_their_layers():
    layers = np.zeros((*GRID.shape, 2), np.uint8)
    layers[10:20, 10:20, 40:50, 0] = 1
    layers[..., 1][5:30] = 1
    left, right, over = LEFT, RIGHT, Segment(1, "over", (0, 0, 1), layer=1)
    segmentation = Segmentation(GRID.image(layers), (left, right, over))
    patch = symmetry.proposal(segmentation, left, right, Mirror(np.zeros(3), np.array([1.0, 0.0, 0.0])))
    before, after = (sitk.GetArrayFromImage(half) for half in (patch.before, patch.after))
    assert np.array_equal(before[..., 1], after[..., 1])
    assert np.count_nonzero(after[..., 0] == 2) == 1000


def test_what_falls_outside_the_image_is_told():
    labels = np.zeros(GRID.shape, np.uint8)
    labels[5:10, 5:10, 50:58] = 1
    segmentation = Segmentation(GRID.image(labels), (LEFT, RIGHT))
    with pytest.warns(Notice, match="part of 'left' falls outside the image"):
        symmetry.mirrored(segmentation, LEFT, Mirror(np.array([40.0, 0, 0]), np.array([1.0, 0.0, 0.0])))


def test_what_has_no_sides_is_refused():
    empty = Segmentation(GRID.image(np.zeros(GRID.shape, np.uint8)), (LEFT, RIGHT))
    mirror = Mirror(np.zeros(3), np.array([1.0, 0.0, 0.0]))
    with pytest.raises(BadInput, match="'left' is empty"):
        symmetry.from_pair(empty, LEFT, RIGHT)
    with pytest.raises(BadInput, match="'left' is empty"):
        symmetry.proposal(empty, LEFT, RIGHT, mirror)
    with pytest.raises(BadInput, match="onto itself"):
        symmetry.proposal(empty, LEFT, LEFT, mirror)
    with pytest.raises(BadInput, match="all of one value"):
        symmetry.from_image(empty.labels)
    full = Segmentation(GRID.image(np.ones(GRID.shape, np.uint8)), (LEFT, LEFT))
    with pytest.raises(BadInput, match="same place"):
        symmetry.from_pair(full, LEFT, LEFT)
