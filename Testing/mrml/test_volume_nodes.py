"""Where the voxels of a volume node lie as an image, and the reverse."""

import warnings

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="3D Slicer's core (slicer-core) is not installed")

from medseg.errors import BadInput, Notice
from medseg.files import read_image, write_image
from medseg.geometry import Geometry
from medseg.mrml.volumes import image_of, update_volume


def test_every_voxel_lies_in_the_nodes_own_coordinates(scene, grid, parent, at, value):
    node = parent.put(scene.volume(grid, value(at(grid))))
    image = image_of(node)
    assert Geometry.of(image).same_as(grid)
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), value(at(Geometry.of(image))), atol=1e-3)


def test_every_voxel_lies_in_the_world_where_that_is_asked_for(scene, grid, parent, at):
    node = parent.put(scene.volume(grid))
    world = at(grid) @ parent.lps[:3, :3].T + parent.lps[:3, 3]
    np.testing.assert_allclose(at(Geometry.of(image_of(node, world=True))), world, atol=1e-4)


def test_an_image_comes_back_as_it_went_in(scene, grid, parent, at, value):
    node = parent.put(scene.add("ScalarVolume"))
    image = grid.image(value(at(grid)).astype(np.float32))
    update_volume(node, image)
    back = image_of(node)
    assert Geometry.of(back).same_as(grid)
    assert back.GetPixelID() == sitk.sitkFloat32
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(image))


def test_slicer_reads_the_same_voxels_and_places_from_a_node_we_filled(scene, grid, at, value):
    node = scene.add("ScalarVolume")
    update_volume(node, grid.image(value(at(grid))))
    np.testing.assert_array_equal(scene.slicer.util.arrayFromVolume(node), value(at(grid)))
    matrix = scene.slicer.util.arrayFromVTKMatrix(_ijk_to_ras(scene, node))
    np.testing.assert_allclose(matrix, np.diag([-1, -1, 1, 1]) @ grid.affine, atol=1e-6)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_the_type_of_voxels_stays(scene, straight, dtype):
    node = scene.add("ScalarVolume")
    update_volume(node, straight.image(np.ones(straight.shape, dtype)))
    assert sitk.GetArrayFromImage(image_of(node)).dtype == np.dtype(dtype)


def test_long_labels_are_stored_in_a_type_that_slicer_draws(scene, straight):
    node = scene.add("LabelMapVolume")
    labels = np.zeros(straight.shape, np.int64)
    labels[1, 2, 3] = 300
    update_volume(node, straight.image(labels))
    assert scene.slicer.util.arrayFromVolume(node).dtype == np.uint16
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image_of(node)), labels)


def test_observers_see_one_change_with_voxels_and_place_together(scene, grid):
    node, seen = scene.volume(Geometry((2, 2, 2), (1.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel()))), []
    node.AddObserver("ModifiedEvent", lambda *_: seen.append(Geometry.of(image_of(node)).same_as(grid)))
    update_volume(node, grid.image(np.ones(grid.shape, np.uint8)))
    assert seen == [True]


def test_the_image_is_a_copy(scene, straight):
    node = scene.volume(straight)
    image = image_of(node)
    scene.slicer.util.arrayFromVolume(node)[:] = 7
    assert not sitk.GetArrayFromImage(image).any()
    update_volume(node, image)
    image.SetPixel((0, 0, 0), 3)
    assert not scene.slicer.util.arrayFromVolume(node).any()


def test_a_single_slice_is_an_image_with_one_slice(scene):
    flat = Geometry((4, 3, 1), (1.0, 2.0, 5.0), (1.0, 2.0, 3.0), tuple(np.eye(3).ravel()))
    assert image_of(scene.volume(flat)).GetSize() == (4, 3, 1)


def test_a_radiograph_becomes_one_slice(scene):
    node = scene.add("ScalarVolume")
    update_volume(node, sitk.GetImageFromArray(np.arange(12, dtype=np.int16).reshape(3, 4)))
    assert image_of(node).GetSize() == (4, 3, 1)
    assert scene.slicer.util.arrayFromVolume(node)[0, 2, 3] == 11


def test_voxels_may_begin_at_another_index(scene, grid, at):
    node = scene.volume(grid)
    node.GetImageData().SetExtent(2, 8, -1, 4, 3, 7)
    shifted = grid.crop((2, -1, 3), grid.size)
    np.testing.assert_allclose(at(Geometry.of(image_of(node))), at(shifted), atol=1e-4)


def test_a_sheared_volume_is_made_straight_and_that_is_said(scene, straight, at):
    node, sheared = scene.volume(straight), straight.affine.copy()
    sheared[0, 2] += 0.4
    steep = at(straight) @ [1.0, 0.0, 0.0] + 0.4 / 1.6 * (at(straight)[..., 2] - straight.origin[2])
    scene.slicer.util.updateVolumeFromArray(node, steep)
    node.SetIJKToRASMatrix(scene.matrix(np.diag([-1, -1, 1, 1]) @ sheared))
    with pytest.warns(Notice, match="sheared"):
        image = image_of(node)
    middle = [n // 2 for n in image.GetSize()]
    assert image.GetPixel(middle) == pytest.approx(image.TransformIndexToPhysicalPoint(middle)[0], abs=1e-3)


def test_a_bent_parent_matters_for_the_world_only(scene, grid):
    node = scene.under(scene.volume(grid), scene.bent())
    assert Geometry.of(image_of(node)).same_as(grid)
    with pytest.raises(BadInput, match=r"ScalarVolume.*non-linear.*harden"):
        image_of(node, world=True)


def test_colours_are_refused(scene, straight):
    node = scene.volume(straight, np.zeros((*straight.shape, 3), np.uint8), kind="VectorVolume")
    with pytest.raises(BadInput, match=r"VectorVolume.*values a voxel"):
        image_of(node)


def test_a_volume_without_voxels_is_refused(scene):
    with pytest.raises(BadInput, match="no voxels"):
        image_of(scene.add("ScalarVolume", "CT"))


def test_an_image_of_vectors_is_refused_and_the_node_is_as_it_was(scene, straight):
    node = scene.volume(straight)
    with pytest.raises(BadInput, match="several values"):
        update_volume(node, straight.image(np.zeros((*straight.shape, 2), np.float32)))
    assert Geometry.of(image_of(node)).same_as(straight)


def test_slicer_and_we_read_the_same_from_a_nifti_file(scene, grid, at, value, tmp_path):
    path = tmp_path / "scan.nii.gz"
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    nib.save(nib.Nifti1Image(value(at(grid)).T, ras), path)
    image = image_of(_loaded(scene, path))
    ours = read_image(path)
    lowest = at(Geometry.of(image)).reshape(-1, 3)
    np.testing.assert_allclose(sitk.GetArrayFromImage(image).ravel(), value(lowest), rtol=1e-5)
    for voxel, point in zip(sitk.GetArrayFromImage(image).ravel(), lowest, strict=True):
        index = ours.TransformPhysicalPointToIndex(point.tolist())
        assert ours.TransformIndexToPhysicalPoint(index) == pytest.approx(point, abs=1e-4)
        assert ours.GetPixel(index) == voxel


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_slicer_loads_what_we_wrote_to_the_same_place(scene, grid, at, value, tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    write_image(grid.image(value(at(grid))), path)
    image = image_of(_loaded(scene, path))
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), value(at(Geometry.of(image))), rtol=1e-5)


def test_nothing_is_said_of_ordinary_volumes(scene, grid, parent):
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        image_of(parent.put(scene.volume(grid)), world=True)


def _loaded(scene, path):
    storage, node = scene.add("VolumeArchetypeStorage"), scene.add("ScalarVolume")
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


def _ijk_to_ras(scene, node):
    matrix = scene.matrix(np.eye(4))
    node.GetIJKToRASMatrix(matrix)
    return matrix
