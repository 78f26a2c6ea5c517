"""Phantoms: images whose every voxel has a value of its own, so that a voxel in the wrong place is seen."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medseg.formats.axes import from_affine
from medseg.geometry import Geometry

OBLIQUE = np.array(
    [[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]],
)
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="session")
def data() -> Path:
    return Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def oblique() -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = OBLIQUE * [0.7, 0.9, 2.5]
    affine[:3, 3] = [-81.25, 140.5, -333.125]
    return from_affine((6, 5, 4), affine)


@pytest.fixture(scope="session")
def phantom() -> Callable[..., sitk.Image]:
    def make(grid: Geometry, dtype: type = np.int16) -> sitk.Image:
        return grid.image(np.arange(np.prod(grid.size)).reshape(grid.shape).astype(dtype))

    return make


@pytest.fixture(scope="session")
def linear() -> Callable[[Geometry], sitk.Image]:
    """An image whose value is a linear function of position, so that any interpolation must reproduce it."""

    def make(grid: Geometry) -> sitk.Image:
        index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.size], indexing="ij"), axis=-1)
        points = index @ grid.affine[:-1, :-1].T + grid.affine[:-1, -1]
        return grid.image(np.ascontiguousarray((points @ [2.0, -3.0, 5.0][: grid.dimension]).T))

    return make
