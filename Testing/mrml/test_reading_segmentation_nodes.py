"""Segmentation nodes of whatever tool, read on the grid of a volume."""

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="3D Slicer's core (slicer-core) is not installed")


from medseg.errors import BadInput
from medseg.mrml.segmentations import segmentation_of, show
from medseg.mrml.volumes import image_of
from medseg.segmentation import Segmentation
from mrml_phantoms import LIVER, labels_on, three_segments

BINARY, SURFACE = "Binary labelmap", "Closed surface"


@pytest.fixture
def labels(grid):
    return labels_on(grid)


def test_another_grid_and_another_parent_land_in_place(scene, grid, parent, other_grid, at):
    volume, node = scene.volume(other_grid), scene.add("Segmentation")
    show(three_segments(grid), node, parent.put(scene.volume(grid)))
    turned = np.eye(4)
    turned[:3, 3] = [0.3137, -0.4391, 0.5713]  # so that no voxel lies midway between two
    scene.under(volume, scene.linear(parent.lps @ turned))
    back = segmentation_of(node, volume)
    assert back.geometry.same_as(other_grid)
    # where each voxel of the volume lies in the segmentation's own coordinates
    points = at(other_grid) + turned[:3, 3]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back.labels), _nearest(labels_on(grid), grid, points))


def test_another_grid_under_the_same_parent_lands_in_place(scene, grid, parent, other_grid, at):
    volume, node = parent.put(scene.volume(other_grid)), scene.add("Segmentation")
    show(three_segments(grid), node, parent.put(scene.volume(grid)))
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    expected = _nearest(labels_on(grid), grid, at(other_grid))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(segmentation_of(node, volume).labels), expected)


def test_a_moved_segmentation_moves(scene, straight):
    """By one voxel along i: everything is seen one voxel further, and what left the volume is gone."""
    volume, node = scene.volume(straight), scene.add("Segmentation")
    show(three_segments(straight), node, volume)
    shift = np.eye(4)
    shift[0, 3] = straight.spacing[0]
    scene.under(node, scene.linear(shift))
    moved = np.zeros(straight.shape, np.uint8)
    moved[..., 1:] = labels_on(straight)[..., :-1]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(segmentation_of(node, volume).labels), moved)


def test_a_segmentation_that_bulges_is_found_where_slicer_shows_it(scene, straight, at):
    """The corners of its box stay, the middles of its faces move out by two voxels."""
    wide = straight.crop((-4, -4, -4), [n + 8 for n in straight.size])
    volume, node = scene.volume(wide), scene.add("Segmentation")
    full = Segmentation(straight.image(np.full(straight.shape, 2, np.uint8)), (LIVER,))
    show(full, node, scene.volume(straight))
    bulge = scene.bent(*_bulge(straight))
    scene.under(node, bulge)
    found = sitk.GetArrayFromImage(segmentation_of(node, volume).labels)
    flip, from_world = np.array([-1.0, -1.0, 1.0]), bulge.GetTransformFromParent()
    points = [flip * from_world.TransformPoint((flip * p).tolist()) for p in at(wide).reshape(-1, 3)]
    expected = _nearest(np.full(straight.shape, 2, np.uint8), straight, np.reshape(points, (*wide.shape, 3)))
    assert expected[4 + 2, 4 + 3, 3] == 2  # outside of the box of the corners
    np.testing.assert_array_equal(found, expected)


def test_what_lies_elsewhere_is_left_out(scene, straight):
    volume, node = scene.volume(straight.crop((100, 0, 0), straight.size)), scene.add("Segmentation")
    show(three_segments(straight), node, scene.volume(straight))
    back = segmentation_of(node, volume)
    assert [s.name for s in back.segments] == ["Liver ü", "Spleen", "Something"]
    assert not sitk.GetArrayFromImage(back.labels).any()
    assert len({s.value for s in back.segments}) == 3


def test_many_segments_of_other_tools_with_a_label_map_each_become_one(scene, grid, parent, labels):
    volume, node = parent.put(scene.volume(grid)), parent.put(scene.add("Segmentation"))
    for value in (2, 5, 9):
        _add(scene, node, grid, labels == value, f"S{value}")
    assert node.GetSegmentation().GetNumberOfLayers(BINARY) == 3
    back = segmentation_of(node, volume)
    assert back.layers == 1
    assert [s.key for s in back.segments] == ["S2", "S5", "S9"]
    for segment, value in zip(back.segments, (2, 5, 9), strict=True):
        np.testing.assert_array_equal(back.mask(segment), labels == value)


def test_more_segments_than_a_byte_counts_are_told_apart(scene, straight):
    volume, node = scene.volume(straight.resized((20, 20, 1))), scene.add("Segmentation")
    grid = straight.resized((20, 20, 1))
    for n in range(300):
        _add(scene, node, grid, np.arange(400).reshape(grid.shape) == n, f"S{n}")
    back = segmentation_of(node, volume)
    assert back.layers == 1
    assert [np.flatnonzero(back.mask(s)).tolist() for s in back.segments] == [[n] for n in range(300)]


def test_label_values_of_no_segment_do_not_come_through(scene, straight):
    volume, node = scene.volume(straight), scene.add("Segmentation")
    show(Segmentation(straight.image(labels_on(straight)), (LIVER,)), node, volume)
    found = sitk.GetArrayFromImage(segmentation_of(node, volume).labels)
    np.testing.assert_array_equal(found, np.where(labels_on(straight) == 2, 2, 0))


def test_surfaces_are_filled_on_the_grid_of_the_volume(scene, grid, parent, other_grid, at):
    """A ball as a mesh, under one transform, into a volume under another."""
    fine = other_grid.resized([4 * n for n in other_grid.size])
    centre, shift = np.array(fine.point([n / 2 for n in fine.size])), np.array([1.0, -0.5, 0.25])
    volume, node = parent.put(scene.volume(fine)), scene.add("Segmentation")
    moved = np.eye(4)
    moved[:3, 3] = shift
    scene.under(node, scene.linear(parent.lps @ moved))
    _add_ball(node, (centre - shift) * [-1, -1, 1], 2.5)
    representations = node.GetSegmentation().GetNumberOfLayers(SURFACE)
    back = segmentation_of(node, volume)
    inside = np.linalg.norm(at(fine) - centre, axis=-1) < 2.5
    found = back.mask(back.segments[0])
    assert 2 * (found & inside).sum() / (found.sum() + inside.sum()) > 0.998
    assert back.geometry.same_as(fine)
    ball = back.segments[0]
    assert (ball.name, ball.color, ball.key) == ("Ball", (1.0, 0.0, 0.0), "ball")
    assert node.GetSegmentation().GetNumberOfLayers(SURFACE) == representations
    assert not node.GetSegmentation().ContainsRepresentation(BINARY)


def test_a_kind_of_segment_that_cannot_be_filled_is_refused(scene, straight):
    volume, node = scene.volume(straight), scene.add("Segmentation", "Plan")
    segment = scene.slicer.vtkSegment()
    segment.AddRepresentation("Planar contour", scene.slicer.vtkOrientedImageData())
    node.GetSegmentation().SetSourceRepresentationName("Planar contour")
    node.GetSegmentation().AddSegment(segment, "contour")
    with pytest.raises(BadInput, match=r"Plan.*Planar contour.*Segmentations"):
        segmentation_of(node, volume)


def test_the_node_that_is_read_stays_as_it_is(scene, straight, other_grid):
    volume, node = scene.volume(other_grid), scene.add("Segmentation")
    show(three_segments(straight), node, scene.volume(straight))
    before, content = node.GetMTime(), node.GetSegmentation().GetMTime()
    segmentation_of(node, volume)
    assert (node.GetMTime(), node.GetSegmentation().GetMTime()) == (before, content)


def test_a_volume_without_voxels_is_refused(scene, straight):
    node = scene.add("Segmentation")
    show(three_segments(straight), node, scene.volume(straight))
    with pytest.raises(BadInput, match="no voxels"):
        segmentation_of(node, scene.add("ScalarVolume"))


def test_a_sheared_volume_gets_the_grid_that_its_image_has(scene, straight):
    node, volume = scene.add("Segmentation"), scene.volume(straight)
    show(three_segments(straight), node, volume)
    sheared = straight.affine.copy()
    sheared[0, 2] += 0.4
    volume.SetIJKToRASMatrix(scene.matrix(np.diag([-1, -1, 1, 1]) @ sheared))
    with pytest.warns(match="sheared"):
        image, back = image_of(volume), segmentation_of(node, volume)
    assert back.labels.GetSize() == image.GetSize()
    assert back.labels.GetDirection() == image.GetDirection()


def _bulge(grid):
    """Corners and middles of the faces of a grid, and where they go, LPS mm."""
    last = np.array(grid.size) - 1
    corners = [grid.point(last * corner) for corner in np.ndindex(2, 2, 2)]
    outward = [side * axis for axis in np.eye(3) for side in (-1, 1)]
    middles = [grid.point(last / 2 * (1 + step)) for step in outward]
    moved = [np.add(middle, 2 * step * grid.spacing) for middle, step in zip(middles, outward, strict=True)]
    return [*corners, *middles], [*corners, *moved]


def _nearest(labels, grid, points):
    """Labels at points in LPS mm, by arithmetic."""
    found = np.zeros(points.shape[:-1], labels.dtype)
    for place in np.ndindex(found.shape):
        index = np.rint(grid.index(points[place])).astype(int)
        if ((index >= 0) & (index < grid.size)).all():
            found[place] = labels[tuple(index[::-1])]
    return found


def _add(scene, node, grid, mask, key):
    """A segment with a label map of its own, made by Slicer's own functions."""
    import vtk

    image = scene.slicer.vtkOrientedImageData()
    image.SetDimensions(grid.size)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())[:] = mask.ravel()
    image.SetImageToWorldMatrix(scene.matrix(np.diag([-1, -1, 1, 1]) @ grid.affine))
    node.AddSegmentFromBinaryLabelmapRepresentation(image, key, (1.0, 0.0, 0.0), key)


def _add_ball(node, centre, radius):
    import vtk

    ball = vtk.vtkSphereSource()
    ball.SetCenter(centre)
    ball.SetRadius(radius)
    ball.SetThetaResolution(60)
    ball.SetPhiResolution(60)
    ball.Update()
    node.GetSegmentation().SetSourceRepresentationName(SURFACE)
    node.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "Ball", (1.0, 0.0, 0.0), "ball")
