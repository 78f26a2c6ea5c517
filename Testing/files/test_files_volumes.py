"""Files with several volumes, where one is wanted and where all are; and how long reading may take."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medseg.errors import BadInput
from medseg.files import read_image, read_segmentation, read_volumes
from medseg.geometry import Geometry


def refused(path, told, reader=read_image):
    with pytest.raises(BadInput, match=told) as fault:
        reader(path)
    assert path.name in str(fault.value)


@pytest.mark.parametrize("name", ["series.mha", "series.nrrd", "series.nii"])
def test_4d_images_of_every_format_give_their_volumes_in_place(tmp_path, oblique, name):
    voxels = np.arange(3 * np.prod(oblique.size)).reshape((3, *oblique.shape)).astype(np.int16)
    image = sitk.GetImageFromArray(voxels, isVector=False)
    image.SetSpacing((*oblique.spacing, 1))
    image.SetOrigin((*oblique.origin, 0))
    cosines = np.eye(4)
    cosines[:3, :3] = oblique.cosines
    image.SetDirection(cosines.ravel())
    sitk.WriteImage(image, str(tmp_path / name))
    refused(tmp_path / name, "holds 3 volumes")
    for n, volume in enumerate(read_volumes(tmp_path / name)):
        assert np.array_equal(sitk.GetArrayFromImage(volume), voxels[n])
        assert Geometry.of(volume).same_as(oblique)


@pytest.mark.parametrize("name", ["series.mha", "series.nii"])
def test_of_two_further_axes_the_first_is_the_fastest(tmp_path, name):
    voxels = np.arange(2 * 3 * 24).reshape((2, 3, 2, 3, 4)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(voxels, isVector=False), str(tmp_path / name))
    refused(tmp_path / name, "holds 6 volumes")
    for n, volume in enumerate(read_volumes(tmp_path / name)):
        assert np.array_equal(sitk.GetArrayFromImage(volume), voxels[n // 3, n % 3])


@pytest.mark.parametrize("reader", [read_image, read_segmentation])
def test_4d_file_where_3d_is_wanted(tmp_path, reader):
    nib.save(nib.Nifti1Image(np.ones((4, 3, 2, 7), np.int16), np.eye(4)), tmp_path / "series.nii.gz")
    refused(tmp_path / "series.nii.gz", "holds 7 volumes .* where one is wanted; save the one you want", reader)


def test_vector_file_where_one_value_is_wanted(tmp_path):
    for name in ("vector.nrrd", "vector.mha", "vector.nii.gz"):
        image = sitk.GetImageFromArray(np.ones((4, 3, 2, 5), np.int16), isVector=True)
        sitk.WriteImage(image, str(tmp_path / name))
        refused(tmp_path / name, "holds 5 volumes .* where one is wanted")
        assert len(read_volumes(tmp_path / name)) == 5


def test_list_of_volumes_comes_in_order(tmp_path, oblique):
    voxels = np.random.default_rng(0).integers(0, 99, (*oblique.shape, 3)).astype(np.int16)
    for name in ("vector.nrrd", "vector.mha", "vector.nii.gz"):
        sitk.WriteImage(oblique.image(voxels), str(tmp_path / name))
        for n, volume in enumerate(read_volumes(tmp_path / name)):
            assert np.array_equal(sitk.GetArrayFromImage(volume), voxels[..., n])
            assert volume.GetOrigin() == pytest.approx(oblique.origin, abs=1e-4)
            assert volume.GetDirection() == pytest.approx(oblique.direction, abs=1e-6)
