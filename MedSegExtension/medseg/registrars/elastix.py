"""B-spline registration by elastix (Klein et al. 2010), from the package itk-elastix, in a process of its own.

A process, because elastix has no way to be asked to stop: cancelling ends it.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from medseg.errors import Failed
from medseg.geometry import Geometry
from medseg.progress import Progress
from medseg.registrars import checks
from medseg.registrars.elastix_process import LOG, RESULT, TASK
from medseg.registration import NO_GUIDANCE, Guidance, warp

NEEDS_ELASTIX = 'B-spline registration needs elastix, which is not installed: pip install "medseg[elastix]"'
MEASURES = {"mattes": "AdvancedMattesMutualInformation", "ncc": "AdvancedNormalizedCorrelation"}
_POLL_SECONDS = 0.1
_CENTRE = "CenterOfRotationPoint"

Map = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class ElastixBSpline:
    """A `Registrar`: affine, then cubic B-splines.

    Attributes:
        measure: "mattes" or "ncc".
        spacing_mm: of the control points at the finest resolution.
        iterations: at each of four resolutions.
        seed: of the voxels that are sampled.
    """

    measure: str = "mattes"
    spacing_mm: float = 16.0
    iterations: int = 256
    seed: int = 121212

    def __post_init__(self) -> None:
        checks.one_of(self.measure, tuple(MEASURES), "measure")

    def register(
        self, fixed: sitk.Image, moving: sitk.Image, progress: Progress, guidance: Guidance = NO_GUIDANCE
    ) -> sitk.Transform:
        """See `Registrar.register`."""
        if importlib.util.find_spec("itk") is None or importlib.util.find_spec("itk.elxParameterObjectPython") is None:
            raise Failed(NEEDS_ELASTIX)
        images = dict(zip(("fixed", "moving"), checks.prepared(fixed, moving, guidance), strict=True))
        if guidance.initial is not None:
            images["moving"] = warp(images["moving"], guidance.initial, Geometry.of(fixed))
        masks = {
            "fixed_mask": checks.mask_on(guidance.fixed_mask, fixed, "the fixed image"),
            "moving_mask": checks.mask_on(guidance.moving_mask, moving, "the moving image"),
        }
        if guidance.initial is not None and masks["moving_mask"] is not None:
            masks["moving_mask"] = warp(
                masks["moving_mask"], guidance.initial, Geometry.of(fixed), sitk.sitkNearestNeighbor
            )
        with tempfile.TemporaryDirectory(prefix="medseg-elastix-") as folder:
            maps = self._run(Path(folder), images | {k: m for k, m in masks.items() if m is not None}, progress)
        found = [transform_of_map(one) for one in maps]
        # elastix goes through its maps in order, a composite of ITK from its last member to the first
        before = [] if guidance.initial is None else [guidance.initial]
        return sitk.CompositeTransform([*before, *reversed(found)])

    def _run(self, folder: Path, images: Mapping[str, sitk.Image], progress: Progress) -> list[Map]:
        for name, image in images.items():
            sitk.WriteImage(image, str(folder / f"{name}.mha"))
        changes = {
            "Metric": MEASURES[self.measure],
            "MaximumNumberOfIterations": str(self.iterations),
            "RandomSeed": str(self.seed),
        }
        task = {"images": sorted(images), "changes": changes, "spacing": str(self.spacing_mm)}
        (folder / TASK).write_text(json.dumps(task), encoding="utf-8")
        command = [sys.executable, "-m", "medseg.registrars.elastix_process", str(folder)]
        with (folder / LOG).open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            try:
                _wait(process, folder / LOG, 8 * self.iterations, progress)
            finally:
                process.kill()
                process.wait()
        if not (folder / RESULT).is_file():
            raise Failed(f"elastix failed: {_reason(folder / LOG)}")
        maps: list[Map] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return maps


def _wait(process: subprocess.Popen[bytes], log: Path, iterations: int, progress: Progress) -> None:
    progress(0.0, "elastix starts")
    while process.poll() is None:
        time.sleep(_POLL_SECONDS)
        done = len(re.findall(rb"(?m)^\d+\t", log.read_bytes()))
        progress(min(done / iterations, 0.99), "B-spline registration by elastix")
    progress(1.0, "B-spline registration by elastix")


def _reason(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("Description")]
    told = told or [line for line in lines if "error" in line.lower()]
    return (told or lines or ["it said nothing"])[-1]


def transform_of_map(parameters: Map) -> sitk.Transform:
    """Return what a transform parameter map of elastix says, as a transform of ITK.

    Raises:
        Failed: for a kind of transform that is not known here.
    """
    kind = parameters["Transform"][0]
    values = [float(x) for x in parameters["TransformParameters"]]
    dimension = int(parameters["FixedImageDimension"][0])
    if kind == "AffineTransform":
        transform = sitk.AffineTransform(dimension)
        transform.SetCenter([float(x) for x in parameters[_CENTRE]])
        transform.SetParameters(values)
        return transform
    if kind == "BSplineTransform":
        spline = sitk.BSplineTransform(dimension, int(parameters["BSplineTransformSplineOrder"][0]))
        grid = [float(x) for key in ("Size", "Origin", "Spacing", "Direction") for x in parameters[f"Grid{key}"]]
        spline.SetFixedParameters(_row_by_row(grid, dimension))
        spline.SetParameters(values)
        return spline
    raise Failed(f"elastix returned a {kind}, which is not known here")


def _row_by_row(grid: list[float], dimension: int) -> list[float]:
    """Elastix writes direction cosines column by column, ITK row by row."""
    start = 3 * dimension
    cosines = grid[start:]
    turned = [cosines[column * dimension + row] for row in range(dimension) for column in range(dimension)]
    return [*grid[:start], *turned]
