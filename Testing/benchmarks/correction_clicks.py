"""From a click to the mask that it proposes, and how live the application stays meanwhile.

    python Testing/benchmarks/correction_clicks.py [CLICKS] [ENGINE ...]        (12 clicks; all three)

Runs the real module Manual Correction with its worker in the test harness (Slicer's core with an emulation of PythonQt,
not the application), on the shipped head resampled to 256^3 voxels and a mask of it into which faults were put: bites
that are missing and balls that are too much. A click goes to the middle of each fault; the time is from placing the
point to the preview, and then from accepting it to the journal's entry on the disk. A timer on the GUI thread should
beat every 10 ms: the longest time between two beats is how long the user would have waited. The first click, which
sends the image to the worker, is told apart.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from heartbeat import Heart
from scipy import ndimage

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "Testing"))
HEAD = ROOT / "Resources/SampleData/colin27_t1.nii.gz"
SIZE = 256
WITHIN_S = 60.0


def volume_and_mask() -> tuple[sitk.Image, np.ndarray]:
    """The head on 256^3 voxels, and what is bright in it, closed: a mask as large as masks are."""
    from medseg.files import read_image
    from medseg.geometry import Geometry, resample

    image = read_image(str(HEAD))
    fine = sitk.Cast(resample(image, Geometry.of(image).resized((SIZE,) * 3)), sitk.sitkFloat32)
    bright = sitk.GetArrayFromImage(fine) > 60
    return fine, ndimage.binary_fill_holes(ndimage.binary_closing(bright, iterations=2))


def faults(mask: np.ndarray, count: int) -> list[tuple[tuple[int, ...], bool, float]]:
    """Places (i, j, k), whether the fault is a bite, and its radius in voxels."""
    random = np.random.default_rng(0)
    border = np.argwhere(mask ^ ndimage.binary_erosion(mask, iterations=3))
    chosen = border[random.choice(len(border), count, replace=False)]
    return [
        (tuple(int(x) for x in place[::-1]), n % 2 == 0, float(random.uniform(4, 14))) for n, place in enumerate(chosen)
    ]


def with_faults(mask: np.ndarray, found: list[tuple[tuple[int, ...], bool, float]]) -> np.ndarray:
    wrong = mask.copy()
    index = np.ogrid[tuple(slice(0, n) for n in mask.shape)]
    for place, bite, radius in found:
        near = sum((axis - p) ** 2 for axis, p in zip(index, place[::-1], strict=True)) < radius**2
        wrong[near] = not bite
    return wrong


def measured(engine: str, clicks: int, desktop: Any) -> dict[str, Any]:
    import qt
    import slicer

    from medseg.mrml.segmentations import show
    from medseg.mrml.volumes import grid_of_volume
    from medseg.segmentation import Segment, Segmentation

    image, mask = volume_and_mask()
    found = faults(mask, clicks + 1)
    volume = slicer.util.addVolumeFromArray(sitk.GetArrayFromImage(image), name="Head")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mask")
    labels = grid_of_volume(volume).image(with_faults(mask, found).astype(np.uint8))
    show(Segmentation(labels, (Segment(1, "Head", (1.0, 0.6, 0.0), key="head"),)), node, volume)
    module = desktop.LoadedModule(ROOT / "Modules/MedSegCorrection/MedSegCorrection.py")
    panel = module.open()
    panel.edit(node)
    panel.ui.engineSelector.setCurrentIndex(panel.ui.engineSelector.findText(engine))
    shown, kept, beats = [], [], Heart(qt)
    for place, bite, _ in found:
        shown.append(_clicked(desktop, panel, volume, place, bite))
        began = time.perf_counter()
        panel.ui.acceptButton.click()
        kept.append(time.perf_counter() - began)
        desktop.process_events(30)
        if len(shown) == 1:
            beats.stop()
            beats = Heart(qt)
    blocked = max(beats.stop(), default=0.0)
    module.unload()
    slicer.mrmlScene.Clear(0)
    return _told(engine, shown, kept, blocked)


def _clicked(desktop: Any, panel: Any, volume: Any, place: tuple[int, ...], positive: bool) -> float:
    import vtk

    button = panel.ui.positiveButton if positive else panel.ui.negativeButton
    if not button.checked:
        button.click()
    to_ras = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(to_ras)
    runner, asked = panel.panel.runner, panel.panel.runner.asked
    began = time.perf_counter()
    panel.panel.tools.node.AddControlPointWorld(to_ras.MultiplyPoint((*place, 1))[:3])
    _until(desktop, lambda: runner.asked > asked and not runner.busy, began)
    return time.perf_counter() - began


def _until(desktop: Any, reached: Any, began: float) -> None:
    while not reached():
        if time.perf_counter() - began > WITHIN_S:
            raise TimeoutError
        desktop.process_events(2)


def _told(engine: str, shown: list[float], kept: list[float], blocked: float) -> dict[str, Any]:
    return {
        "engine": engine,
        "first_click_ms": round(1000 * shown[0]),
        "median_ms": round(1000 * statistics.median(shown[1:])),
        "worst_ms": round(1000 * max(shown[1:])),
        "accept_median_ms": round(1000 * statistics.median(kept[1:])),
        "gui_blocked_ms": round(1000 * blocked),
        "clicks": len(shown) - 1,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    clicks = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    engines = sys.argv[2:] or ["medseg-click", "geodesic", "random-walker"]
    with tempfile.TemporaryDirectory() as home:
        os.environ["MEDSEG_HOME"] = home
        from harness import desktop

        desktop.start()
        for engine in engines:
            print(json.dumps(measured(engine, clicks, desktop)), flush=True)


if __name__ == "__main__":
    main()
