"""Markups as prompts, in the coordinates of the volume that is segmented."""

import itertools
import warnings

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="3D Slicer's core (slicer-core) is not installed")

from medseg.errors import BadInput, Notice
from medseg.geometry import Geometry
from medseg.mrml.prompts import box_of, lasso_of, points_of, scribble_of

FLIP = np.array([-1.0, -1.0, 1.0])


@pytest.fixture
def volume(scene, grid, parent):
    return parent.put(scene.volume(grid))


@pytest.fixture
def draw(scene, parent):
    """Makes a markup of points in LPS mm of the volume's coordinates, under a parent of its own."""

    def make(kind, points):
        node = scene.add(f"Markups{kind}")
        shift = np.eye(4)
        shift[:3, 3] = [3.0, -2.0, 5.0]
        scene.under(node, scene.linear(shift))
        for point in points:
            world = parent.lps @ [*point, 1.0]
            node.AddControlPoint((world[:3] - [3.0, -2.0, 5.0]) * FLIP)
        return node

    return make


def test_points_lie_where_they_were_placed(volume, grid, draw):
    wanted = [grid.point((1, 2, 3)), grid.point((0.25, 4, 1.5))]
    points = points_of(draw("Fiducial", wanted), volume)
    np.testing.assert_allclose([p.position for p in points], wanted, atol=1e-4)
    assert all(p.positive for p in points)


def test_a_description_or_the_caller_makes_points_negative(scene, straight, draw):
    node = draw("Fiducial", [(0, 0, 0), (1, 1, 1), (2, 2, 2)])
    node.SetNthControlPointDescription(1, " Negative")
    node.SetNthControlPointDescription(2, "tip of the lesion")
    volume = scene.volume(straight)
    assert [p.positive for p in points_of(node, volume)] == [True, False, True]
    assert [p.positive for p in points_of(node, volume, positive=False)] == [False] * 3
    assert [p.positive for p in points_of(node, volume, positive=True)] == [True] * 3


def test_points_still_to_be_placed_are_left_out(scene, volume, draw):
    node = draw("Fiducial", [(0, 0, 0), (1, 1, 1)])
    node.UnsetNthControlPointPosition(0)
    assert [p.position for p in points_of(node, volume)] == [pytest.approx((1, 1, 1))]
    assert points_of(scene.add("MarkupsFiducial"), volume) == []


def test_points_under_the_same_bent_parent_do_not_move(scene, straight):
    bent, node = scene.bent(), scene.add("MarkupsFiducial")
    node.AddControlPoint((1.0, 2.0, 3.0))
    volume = scene.under(scene.volume(straight), bent)
    scene.under(node, bent)
    assert points_of(node, volume)[0].position == (-1.0, -2.0, 3.0)


def test_a_region_along_the_axes_becomes_its_box(scene, straight, rotation):
    transform = scene.linear(rotation)
    region, volume = scene.under(scene.add("MarkupsROI"), transform), scene.under(scene.volume(straight), transform)
    region.SetCenter((10.0, -20.0, 30.0))
    region.SetSize((4.0, 6.0, 8.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        box = box_of(region, volume)
    np.testing.assert_allclose((box.minimum, box.maximum), ((-12, 17, 26), (-8, 23, 34)), atol=1e-6)
    assert box.positive
    assert not box_of(region, volume, positive=False).positive


def test_a_turned_region_becomes_the_box_around_it_and_that_is_said(scene, straight, rotation):
    region = scene.under(scene.add("MarkupsROI"), scene.linear(rotation))
    region.SetCenter((10.0, -20.0, 30.0))
    region.SetSize((4.0, 6.0, 8.0))
    with pytest.warns(Notice, match="turned"):
        box = box_of(region, scene.volume(straight))
    corners = np.array(list(itertools.product((-12, -8), (17, 23), (26, 34)))) @ rotation[:3, :3].T + rotation[:3, 3]
    np.testing.assert_allclose((box.minimum, box.maximum), (corners.min(axis=0), corners.max(axis=0)), atol=1e-4)


def test_a_region_turned_by_itself_counts_too(scene, straight):
    region = scene.add("MarkupsROI")
    region.SetSize((2.0, 4.0, 6.0))
    quarter = np.eye(4)
    quarter[:2, :2] = [[0, -1], [1, 0]]
    region.SetAndObserveObjectToNodeMatrix(scene.matrix(quarter))
    box = box_of(region, scene.volume(straight))
    np.testing.assert_allclose(box.maximum, (2, 1, 3), atol=1e-6)


def test_a_region_without_size_is_refused(scene, straight):
    with pytest.raises(BadInput, match="no size"):
        box_of(scene.add("MarkupsROI"), scene.volume(straight))


@pytest.mark.parametrize("plane", [0, 1, 2])
def test_a_closed_curve_in_a_slice_becomes_the_voxels_inside(volume, grid, draw, plane):
    """A square from 0.6 to 3.4 voxels holds voxels 1, 2 and 3 in both directions."""
    square = [np.insert(corner, plane, 2.0) for corner in [(0.6, 0.6), (3.4, 0.6), (3.4, 3.4), (0.6, 3.4)]]
    node = draw("ClosedCurve", [grid.point(corner) for corner in square])
    node.SetCurveTypeToLinear()
    mask = lasso_of(node, volume).mask
    first, size = [1, 1, 1], [3, 3, 3]
    first[plane], size[plane] = 2, 1
    assert Geometry.of(mask).same_as(grid.crop(first, size))
    assert sitk.GetArrayFromImage(mask).all()


def test_a_curve_bent_inwards_leaves_out_its_hollow(scene, straight):
    wide, node = straight.resized((40, 40, 5)), scene.add("MarkupsClosedCurve")
    node.SetCurveTypeToLinear()
    for i, j in [(5, 5), (35, 5), (35, 35), (25, 35), (25, 15), (15, 15), (15, 35), (5, 35)]:
        node.AddControlPoint(np.array(wide.point((i + 0.3, j + 0.3, 2))) * FLIP)
    lasso = lasso_of(node, scene.volume(wide), positive=False)
    inside = sitk.GetArrayFromImage(lasso.mask)[0]
    assert not lasso.positive
    assert inside.shape == (30, 30)
    assert inside.sum() == 30 * 30 - 10 * 20
    assert not inside[10:, 10:20].any()


def test_a_curve_in_an_oblique_plane_is_one_voxel_thick_and_follows_it(scene, straight):
    """k rises by one where i rises by two."""
    wide = straight.resized((40, 40, 40))
    node = scene.add("MarkupsClosedCurve")
    node.SetCurveTypeToLinear()
    for i, j in [(4.5, 4.5), (30.5, 4.5), (30.5, 20.5), (4.5, 20.5)]:
        node.AddControlPoint(np.array(wide.point((i, j, 3 + i / 2))) * FLIP)
    mask = lasso_of(node, scene.volume(wide)).mask
    inside = {
        tuple(np.round(wide.index(mask.TransformIndexToPhysicalPoint(x[::-1].tolist()))).astype(int))
        for x in np.argwhere(sitk.GetArrayFromImage(mask))
    }
    assert {(i, j) for i, j, _ in inside} == set(itertools.product(range(5, 31), range(5, 21)))
    assert len(inside) == 26 * 16
    assert all(abs(3 + i / 2 - k) <= 0.5 for i, _, k in inside)


def test_a_line_becomes_the_voxels_it_runs_through(volume, grid, draw):
    scribble = scribble_of(draw("Line", [grid.point((1, 2, 1)), grid.point((5, 2, 1))]), volume)
    assert Geometry.of(scribble.mask).same_as(grid.crop((1, 2, 1), (5, 1, 1)))
    assert sitk.GetArrayFromImage(scribble.mask).all()
    assert scribble.positive


def test_an_open_curve_follows_its_bend_and_takes_a_width_in_mm(scene, straight):
    node = scene.add("MarkupsCurve")
    node.SetCurveTypeToLinear()
    for index in [(1, 1, 2), (5, 1, 2), (5, 4, 2)]:
        node.AddControlPoint(np.array(straight.point(index)) * FLIP)
    thin = scribble_of(node, scene.volume(straight), positive=False)
    assert not thin.positive
    assert sitk.GetArrayFromImage(thin.mask).tolist() == [
        [[1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]]
    ]
    thick = scribble_of(node, scene.volume(straight), radius=0.8).mask
    # 0.7 mm along i is within 0.8 mm, 0.9 mm along j and 1.6 mm along k are not
    assert Geometry.of(thick).same_as(straight.crop((0, 1, 2), (7, 4, 1)))
    assert sitk.GetArrayFromImage(thick).sum(axis=2).tolist() == [[7, 3, 3, 3]]


def test_the_width_of_a_stroke_is_round(scene, straight):
    node = scene.add("MarkupsLine")
    for index in [(3, 3, 2), (3.1, 3, 2)]:
        node.AddControlPoint(np.array(straight.point(index)) * FLIP)
    mask = scribble_of(node, scene.volume(straight), radius=1.0).mask
    # 0.7 and 0.9 mm to the neighbours, 1.14 mm across the corner
    assert sitk.GetArrayFromImage(mask).tolist() == [[[0, 1, 0], [1, 1, 1], [0, 1, 0]]]


def test_strokes_are_cut_off_at_the_edge_of_the_volume(scene, straight):
    node = scene.add("MarkupsLine")
    for index in [(-1000, 2, 1), (1000, 2, 1)]:
        node.AddControlPoint(np.array(straight.point(index)) * FLIP)
    assert scribble_of(node, scene.volume(straight)).mask.GetSize() == (7, 1, 1)


def test_strokes_elsewhere_and_unfinished_ones_are_refused(scene, straight):
    line, curve, volume = (
        scene.add("MarkupsLine", "stroke"),
        scene.add("MarkupsClosedCurve", "outline"),
        scene.volume(straight),
    )
    with pytest.raises(BadInput, match=r"stroke.*fewer than 2"):
        scribble_of(line, volume)
    with pytest.raises(BadInput, match=r"outline.*fewer than 3"):
        lasso_of(curve, volume)
    for n in range(3):
        line.AddControlPoint((500.0 + n, n * n, 0.0))
        curve.AddControlPoint((500.0 + n, n * n, 0.0))
    with pytest.raises(BadInput, match=r"stroke.*no voxel"):
        scribble_of(line, volume)
    with pytest.raises(BadInput, match=r"outline.*no voxel"):
        lasso_of(curve, volume)
