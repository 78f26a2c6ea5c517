"""How well and how fast are images registered? Writes Testing/benchmarks/results/registration.md.

    python Testing/benchmarks/registration.py DATA [--only brains,lung,fields,ctmr] [--methods NAME,...] [--pairs N]

DATA holds ship/ (lung CT, head) and, where they are at hand, evaluate/malf (labelled brains) and weights/symnet. What
is missing there, and methods whose package is not installed, are left out and said. Rows are appended to
results/registration.jsonl as they come; the table is made of all of them, the latest of each case and method. So it can
be run in parts, and again.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
PARTS = ("brains", "lung", "fields", "ctmr")
DEEP = (23, 30, 31, 32, 36, 37, 47, 48, 51, 52, 55, 56, 57, 58, 59, 60, 61, 62, 35)
"""Accumbens, amygdala, caudate, hippocampus, lateral ventricle, pallidum, putamen, thalamus, ventral diencephalon on
both sides, brain stem: numbers of Neuromorphometrics; cortex is 100 and above."""
SEEDS = 2


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default=",".join(PARTS), help="parts (%(default)s)")
    parser.add_argument("--methods", default="", help="names as in the table; all of them where left out")
    parser.add_argument("--pairs", type=int, default=12, help="ordered pairs of brains (%(default)s)")
    parser.add_argument("--starts", type=int, default=20, help="random starts of CT and MR (%(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--missing", action="store_true", help="leave out what there is a row of already")
    parser.add_argument("--rows", type=Path, default=RESULTS / "registration.jsonl")
    parser.add_argument("--table", type=Path, default=RESULTS / "registration.md")
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(options.threads)  # before ANTs is imported
    sys.path.insert(0, str(Path(__file__).parent))
    import registration_table
    import SimpleITK as sitk
    import torch

    torch.set_num_threads(options.threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(options.threads)
    cases = {"brains": brains, "lung": lung, "fields": fields, "ctmr": ct_mr}
    for part in options.only.split(","):
        for row in cases[part](options):
            print(row, flush=True)
            registration_table.add({"part": part, **row}, options.rows)
    machine = f"{options.threads} threads on {platform.processor() or platform.machine()}"
    command = "python Testing/benchmarks/registration.py DATA"
    page = registration_table.table(registration_table.rows(options.rows), machine, command)
    options.table.write_text(page, encoding="utf-8")
    print(page)


def chosen(options: argparse.Namespace, part: str, case: str, measure: str = "lncc") -> Iterator[Any]:
    import registration_methods as methods
    import registration_table

    there = registration_table.rows(options.rows) if options.missing else []
    done = [row["method"] for row in there if (row["part"], row["case"]) == (part, case)]
    weights = next((options.data / "weights/symnet").glob("*.pth"), Path("none.pth"))
    known = methods.deformable(weights, measure)
    for name in options.methods.split(",") if options.methods else known:
        method = known[name]
        if name in done:
            continue
        if method.missing or ("SYMNet" in name and not weights.is_file()):
            print(f"left out: {name}")
        else:
            yield method


def timed(method: Any, fixed: Any, moving: Any, guidance: Any) -> tuple[Any, Any, dict[str, float]]:
    """Register and measure what can be measured of any registration."""
    from medseg.geometry import Geometry
    from medseg.registration import folding, inverse_consistency, jacobian_determinant

    began = time.perf_counter()
    forward, backward = method.run(fixed, moving, guidance)
    seconds, grid = time.perf_counter() - began, Geometry.of(fixed)
    folds = folding(jacobian_determinant(forward, grid))
    row = {"method": method.name, "seconds": seconds, "sd_log_jacobian": folds.sd_log_jacobian}
    row["folding_percent"] = folds.non_positive_percent
    if backward is not None:
        body = inside(fixed)
        row["inverse_mm"] = float(inverse_consistency(forward, backward, grid)[body].mean())
    return forward, backward, row


def inside(image: Any) -> Any:
    """Voxels of the head or the body: above a tenth of the 99th percentile."""
    import numpy as np
    import SimpleITK as sitk

    array = sitk.GetArrayFromImage(image)
    return array - array.min() > 0.1 * (np.percentile(array, 99) - array.min())


def brains(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    import itertools

    import SimpleITK as sitk

    from medseg.registration import Guidance

    folder = options.data / "evaluate/malf"
    names = sorted(path.name.split("_")[0] for path in folder.glob("*_SS.nii.gz"))
    for here, there in list(itertools.permutations(names, 2))[: options.pairs]:
        images = [sitk.ReadImage(str(folder / f"{n}_SS.nii.gz"), sitk.sitkFloat32) for n in (here, there)]
        labels = [sitk.ReadImage(str(folder / f"{n}_glm.nii.gz")) for n in (here, there)]
        case = f"{there} to {here}"
        for method in chosen(options, "brains", case):
            forward, _, row = timed(method, *images, Guidance())
            yield {"case": case, **row, **structures(*labels, forward)}


def structures(fixed: Any, moving: Any, forward: Any) -> dict[str, float]:
    """Mean Dice of the structures that both brains have."""
    import numpy as np
    import SimpleITK as sitk

    from medseg.geometry import Geometry
    from medseg.registration import warp

    warped = warp(moving, forward, Geometry.of(fixed), sitk.sitkNearestNeighbor)
    one, other = (sitk.GetArrayFromImage(image).astype(int).ravel() for image in (fixed, warped))
    most = max(one.max(), other.max()) + 1
    counts = [np.bincount(values, minlength=most) for values in (one, other, one[one == other])]
    dice = {n: 2 * counts[2][n] / (counts[0][n] + counts[1][n]) for n in range(1, most) if counts[0][n]}
    cortex = [value for n, value in dice.items() if n >= 100]
    return {"dice_deep": float(np.mean([dice[n] for n in DEEP if n in dice])), "dice_cortex": float(np.mean(cortex))}


def lung(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    import SimpleITK as sitk

    from medseg import landmarks
    from medseg.geometry import Geometry
    from medseg.registration import Guidance, landmark_errors

    folder, stem = options.data / "ship/lung_ct_pair", "3DCT_lung_"
    images = [sitk.ReadImage(str(folder / f"{stem}{n}.mha"), sitk.sitkFloat32) for n in ("baseline", "followup")]
    masks = [sitk.ReadImage(str(folder / f"{stem}{n}_mask.mha")) for n in ("baseline", "followup")]
    points = [landmarks.read(folder / f"{stem}{n}.txt") for n in ("baseline_landmarks", "groundtruth_point")]
    grids = [Geometry.of(image) for image in images]
    both = [all(_holds(g, p) for g, p in zip(grids, pair, strict=True)) for pair in zip(*points, strict=True)]
    for method in chosen(options, "lung", "lung", "mind"):
        forward, _, row = timed(method, *images, Guidance(*masks))
        errors = landmark_errors(forward, points[0].tolist(), points[1].tolist())
        yield {"case": "lung", **row, "landmark_mm": errors.mean(), "landmark_inside_mm": errors[both].mean()}


def _holds(grid: Any, point: Any) -> bool:
    return all(0 <= x <= n - 1 for x, n in zip(grid.index(point), grid.size, strict=True))


def fields(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    import registration_warps
    import SimpleITK as sitk

    from medseg.geometry import Geometry
    from medseg.registration import Guidance, field_error

    head = sitk.ReadImage(str(ROOT / "Resources/SampleData/colin27_t1.nii.gz"), sitk.sitkFloat32)
    still = sitk.Transform(3, sitk.sitkIdentity)
    for family in registration_warps.FAMILIES:
        for seed in range(SEEDS):
            fixed, known, _ = registration_warps.bent(family, head, seed)
            grid, body = Geometry.of(fixed), inside(fixed)
            before = float(field_error(still, known, grid)[body].mean())
            for method in chosen(options, "fields", f"{family} {seed}"):
                if "SYMNet" in method.name:  # for skull-stripped brains
                    continue
                forward, _, row = timed(method, fixed, head, Guidance())
                error = float(field_error(forward, known, grid)[body].mean())
                yield {"case": f"{family} {seed}", **row, "field_mm": error, "still_mm": before}


def ct_mr(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    import numpy as np
    import registration_methods as methods
    import SimpleITK as sitk

    from medseg.registration import Guidance

    names = ("head_ct", "head_t1_of_ct")
    images = [sitk.ReadImage(str(ROOT / f"Resources/SampleData/{n}.nii.gz"), sitk.sitkFloat32) for n in names]
    ways = (
        ("rigid, as the module's preset", "rigid", {"measure": "mattes", "start": "auto", "turns": 16}),
        ("rigid, from where it lies", "rigid", {"measure": "mattes", "start": "as-is", "turns": 8}),
        ("fast-rigid, from where it lies", "fast-rigid", {"measure": "mi", "start": "as-is", "turns": 8}),
    )
    for name, engine, how in ways:
        found, began = [], time.perf_counter()
        for seed in range(options.starts):
            run = methods.ours(engine, seed=seed, **how)
            there, _ = run(images[0], _moved(images[1], seed), Guidance())
            found.append(_landed(there, _random_rigid(images[1], seed), images[0]))
        seconds = (time.perf_counter() - began) / options.starts
        apart = np.linalg.norm(np.array(found) - np.median(found, axis=0), axis=-1).max(axis=1)
        within = float(np.mean(apart <= 3))
        yield {
            "case": "head",
            "method": name,
            "seconds": seconds,
            "spread_mm": float(apart.max()),
            "within_3_mm": within,
        }


def _random_rigid(image: Any, seed: int) -> Any:
    import numpy as np
    import SimpleITK as sitk

    random = np.random.default_rng(seed)
    angles, shift = np.radians(random.uniform(-15, 15, 3)), random.uniform(-20, 20, 3)
    middle = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    return sitk.Euler3DTransform(middle, *angles.tolist(), shift.tolist())


def _moved(image: Any, seed: int) -> Any:
    """Return an image elsewhere: the point p of the new one is the point T(p) of the old one. No voxel is changed."""
    import numpy as np
    import SimpleITK as sitk

    back = _random_rigid(image, seed).GetInverse()
    moved = sitk.Image(image)
    cosines = np.reshape(sitk.Euler3DTransform(back).GetMatrix(), (3, 3)) @ np.reshape(image.GetDirection(), (3, 3))
    moved.SetOrigin(back.TransformPoint(image.GetOrigin()))
    moved.SetDirection(cosines.ravel().tolist())
    return moved


def _landed(found: Any, known: Any, fixed: Any) -> list[Any]:
    """Where the corners of a cube of 100 mm about the middle of the fixed image land in the original moving image."""
    import itertools

    middle = fixed.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in fixed.GetSize()])
    corners = [[m + s for m, s in zip(middle, signs, strict=True)] for signs in itertools.product((-50, 50), repeat=3)]
    return [known.TransformPoint(found.TransformPoint(corner)) for corner in corners]


if __name__ == "__main__":
    main(arguments())
