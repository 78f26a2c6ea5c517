"""A real scene of 3D Slicer with its real logics, without the application, and phantoms to put into it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from medseg.formats.axes import from_affine
from medseg.geometry import Geometry

RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
TURN = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])
WEIGHTS = np.array([1.0, 1e3, 1e6])
SPREAD = np.array([(x, y, z) for x in (-40.0, 40.0) for y in (-40.0, 40.0) for z in (-60.0, 20.0)])
BENT = SPREAD + np.sin(SPREAD)
DIRECTIONS = {
    "identity": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "oblique": TURN,
    "permuted": np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    "left-handed": np.diag([1.0, 1.0, -1.0]),
    "oblique left-handed": TURN @ np.diag([1.0, -1.0, 1.0]),
}


@pytest.fixture(params=DIRECTIONS)
def grid(request: pytest.FixtureRequest) -> Geometry:
    """Grids of every kind of directions, 7 x 6 x 5."""
    return grid_along(DIRECTIONS[request.param])


@pytest.fixture
def straight() -> Geometry:
    return grid_along(np.eye(3))


@pytest.fixture
def other_grid() -> Geometry:
    """Finer, turned and left-handed, over about the same place as the other grids, and no voxel midway between two."""
    affine = np.eye(4)
    affine[:3, :3] = (TURN.T @ np.diag([1.0, 1.0, -1.0])) * [0.55, 0.45, 0.9]
    affine[:3, 3] = np.array([-9.0, 16.0, -30.0]) - affine[:3, :3] @ [6, 6, 5] + [2.0137, 2.0391, 3.0713]
    return from_affine((13, 14, 12), affine)


def grid_along(directions: np.ndarray) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = directions * [0.7, 0.9, 1.6]
    affine[:3, 3] = [-9.25, 16.5, -30.125]
    return from_affine((7, 6, 5), affine)


def positions(grid: Geometry) -> np.ndarray:
    """LPS position of every voxel, shape (k, j, i, 3)."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.size], indexing="ij"), axis=-1)
    return np.moveaxis(index @ grid.affine[:3, :3].T + grid.affine[:3, 3], (0, 1, 2), (2, 1, 0))


def values_at(points: np.ndarray) -> np.ndarray:
    """A value that is different at every position."""
    return points @ WEIGHTS


class Scene:
    """A scene, and short ways to fill it that use Slicer's own functions and none of ours."""

    def __init__(self) -> None:
        import slicer

        self.slicer = slicer
        self.mrml = slicer.vtkMRMLScene()
        selection = slicer.vtkMRMLSelectionNode()
        selection.SetSingletonTag("Singleton")
        self.mrml.AddNode(selection)  # without it the logic of markups writes faults to the console
        self.segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
        self.markups = slicer.vtkSlicerMarkupsLogic()
        for logic in (self.segmentations, self.markups):
            logic.SetMRMLScene(self.mrml)

    def add(self, kind: str, name: str = "") -> Any:
        return self.mrml.AddNewNodeByClass(f"vtkMRML{kind}Node", name or kind)

    def volume(self, grid: Geometry, array: np.ndarray | None = None, kind: str = "ScalarVolume") -> Any:
        node = self.add(kind)
        self.slicer.util.updateVolumeFromArray(node, np.zeros(grid.shape, np.int16) if array is None else array)
        node.SetIJKToRASMatrix(self.matrix(RAS @ grid.affine))
        return node

    def matrix(self, array: np.ndarray) -> Any:
        return self.slicer.util.vtkMatrixFromArray(array)

    def linear(self, lps: np.ndarray) -> Any:
        node = self.add("LinearTransform")
        node.SetMatrixTransformToParent(self.matrix(RAS @ lps @ RAS))
        return node

    def bent(self, source: Any = SPREAD, target: Any = BENT) -> Any:
        """A thin-plate spline that takes points in LPS mm to others."""
        import vtk

        node, spline = self.add("Transform"), vtk.vtkThinPlateSplineTransform()
        spline.SetSourceLandmarks(_landmarks(source))
        spline.SetTargetLandmarks(_landmarks(target))
        spline.SetBasisToR()
        node.SetAndObserveTransformToParent(spline)
        return node

    def under(self, node: Any, transform: Any) -> Any:
        node.SetAndObserveTransformNodeID(transform.GetID())
        return node

    def labels(self, node: Any, key: str, volume: Any) -> np.ndarray:
        """What Slicer itself says a segment covers on the grid of a volume, shape (k, j, i)."""
        import vtk

        keys, exported = vtk.vtkStringArray(), self.add("LabelMapVolume")
        keys.InsertNextValue(key)
        assert self.segmentations.ExportSegmentsToLabelmapNode(node, keys, exported, volume)
        return self.slicer.util.arrayFromVolume(exported) > 0


def _landmarks(points: Any) -> Any:
    import vtk

    landmarks = vtk.vtkPoints()
    for point in points:
        landmarks.InsertNextPoint(np.array(point) * [-1.0, -1.0, 1.0])
    return landmarks


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def rotation() -> np.ndarray:
    """A rotation with a shift, LPS, shape (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3] = TURN.T
    matrix[:3, 3] = [12.5, -7.25, 30.0]
    return matrix


@pytest.fixture(params=["no parent", "linear parent"])
def parent(request: pytest.FixtureRequest, scene: Scene, rotation: np.ndarray) -> SimpleNamespace:
    """Puts a node under a transform, or leaves it; `.lps` says what the transform does."""
    if request.param == "no parent":
        return SimpleNamespace(lps=np.eye(4), put=lambda node: node)
    return SimpleNamespace(lps=rotation, put=lambda node: scene.under(node, scene.linear(rotation)))


@pytest.fixture
def at() -> Callable[[Geometry], np.ndarray]:
    return positions


@pytest.fixture
def value() -> Callable[[np.ndarray], np.ndarray]:
    return values_at
