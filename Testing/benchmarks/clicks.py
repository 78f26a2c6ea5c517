"""A simulated reader: how many clicks each engine needs, from nothing and from a mask with faults.

    python Testing/benchmarks/clicks.py DATA [--engines NAME ...] [--groups NAME ...] [--clicks 20] [--again]

DATA holds the folders `ship` and `evaluate`; cases that are missing are left out. Each run is kept in
`clicks.json` beside the report and not done twice (but with --again), so the work can be done in parts; the report
`Testing/benchmarks/results/clicks.md` and its picture are written from all that is there. nnInteractive takes part
where NNINTERACTIVE names the folder of its weights.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import SimpleITK as sitk
from click_cases import Case, cases, flawed

from medseg.engines.interactive_catalog import NNINTERACTIVE, open_interactive
from medseg.errors import BadInput, Failed
from medseg.geometry import Geometry
from medseg.interactive.local import LocalSegmenter
from medseg.metrics import dice
from medseg.progress import silent
from medseg.prompt import Point
from medseg.segmenter import InteractiveSegmenter
from medseg.training.clicks.reader import next_click

mpl.use("Agg")
RESULTS = Path(__file__).parent / "results"
NETWORK = "medseg-click"
GROWCUT = "GrowCut (Slicer)"
ENGINES = (NETWORK, "geodesic", "random-walker", GROWCUT, NNINTERACTIVE)
STARTS = ("nothing", "flawed mask")
GOALS = (0.75, 0.85, 0.90)
WANTED_LOSS = -0.01
PREFACE = """# Clicks of a simulated reader

`python Testing/benchmarks/clicks.py DATA`. The reader clicks in the middle of the largest connected error (missing:
positive, too much: negative), the protocol of the field (Xu et al. 2016; RITM; nnInteractive), up to {clicks} times.
In means, what is never reached counts as the most clicks, as in RITM. No engine brings its median structure to 0.85;
0.75 is told because there medians can be compared.
"From a flawed mask": a fifth of the structure cut off, a rim too much on the other half, a lump beside it.
No image here was trained on or tuned to. The structures of malf are of a kind whose label maps (of other heads) the
synthetic training images were drawn from. torso_ct and head_t1 (brain extraction) are pseudo-labels: masks of other
programs, not the truth. GrowCut is Slicer's own (vtkImageGrowCutSegment), in the crops and with the seeds of our local
sessions, since a click alone gives it no background. Seconds are of this machine under whatever else it did.
"""


def growcut() -> LocalSegmenter:
    """Return Slicer's GrowCut behind the sessions of the engines without a network."""
    import slicer
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

    def image(array: np.ndarray, kind: int) -> vtk.vtkImageData:
        data = vtk.vtkImageData()
        data.SetDimensions(*array.shape[::-1])
        data.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).ravel(), True, kind))
        return data

    def preference(values: np.ndarray, inside: np.ndarray, outside: np.ndarray, *_: object) -> np.ndarray:
        seeds = np.where(inside, 1, np.where(outside, 2, 0)).astype(np.uint8)
        found = slicer.vtkImageGrowCutSegment()
        found.SetIntensityVolume(image(values.astype(np.float32), vtk.VTK_FLOAT))
        found.SetSeedLabelVolume(image(seeds, vtk.VTK_UNSIGNED_CHAR))
        found.SetMaskVolume(None)
        found.Update()
        labels = vtk_to_numpy(found.GetOutput().GetPointData().GetScalars()).reshape(values.shape)
        return np.where(labels == 1, 1, -1).astype(np.float32)

    return LocalSegmenter(preference)


def opened(name: str) -> InteractiveSegmenter:
    """Open an engine of the benchmark."""
    if name == GROWCUT:
        return growcut()
    folder = os.environ.get("NNINTERACTIVE")
    return open_interactive(name, "cpu", Path(folder) if folder else None)


def read(engine: InteractiveSegmenter, case: Case, start: np.ndarray, clicks: int) -> dict[str, list[float]]:
    """Let the reader work; return Dice before the first click and after each, and the seconds each took."""
    grid, mask = Geometry.of(case.image), start.copy()
    dices, seconds = [dice(mask, case.truth)], []
    with engine.open(case.image, silent) as session:
        if start.any():
            session.seed(grid.image(start.astype(np.uint8)))
        for _ in range(clicks):
            prompt = _prompt(case.truth, mask, grid)
            if prompt is None:
                break
            began = time.perf_counter()
            crop = session.prompt(prompt)
            seconds.append(round(time.perf_counter() - began, 4))
            mask[grid.slices_of(Geometry.of(crop))] = sitk.GetArrayFromImage(crop) > 0
            dices.append(round(dice(mask, case.truth), 4))
    return {"dice": dices, "seconds": seconds}


def _prompt(truth: np.ndarray, mask: np.ndarray, grid: Geometry) -> Point | None:
    either = truth | mask
    spans = [np.flatnonzero(either.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    box = tuple(slice(int(s[0]), int(s[-1]) + 1) for s in spans)
    click = next_click(truth[box], mask[box], grid.spacing[::-1])
    if click is None:
        return None
    k, j, i = (p + b.start for p, b in zip(click.place, box, strict=True))
    x, y, z = grid.point((i, j, k))
    return Point((x, y, z), click.positive)


Runs = dict[str, dict[str, list[float]]]


def work(options: argparse.Namespace, runs: Runs, keep: Callable[[], None]) -> None:
    """Do the runs that are wanted and not there yet."""
    engines = dict(_available(options.engines))
    for case in cases(options.data):
        if options.groups and case.group not in options.groups:
            continue
        starts = (np.zeros_like(case.truth), flawed(case.truth, case.image.GetSpacing()[::-1]))
        for kind, start in zip(STARTS, starts, strict=True):
            for name, engine in engines.items():
                key = "|".join((name, kind, case.name + (" (pseudo-label)" if case.pseudo else "")))
                if key not in runs or options.again:
                    runs[key] = read(engine, case, start, options.clicks)
                    keep()
                    sys.stderr.write(f"{key}: {runs[key]['dice']}\n")


def _available(names: list[str]) -> Iterator[tuple[str, InteractiveSegmenter]]:
    for name in names:
        try:
            yield name, opened(name)
        except (BadInput, Failed, ImportError) as fault:
            sys.stderr.write(f"{name} is left out: {fault}\n")


def needed(dices: list[float], goal: float) -> float:
    """Return after how many clicks a Dice is reached; infinite if never."""
    return next((n for n, one in enumerate(dices) if one >= goal), float("inf"))


def _of(runs: Runs, name: str, kind: str) -> dict[str, dict[str, list[float]]]:
    found = {}
    for key, run in runs.items():
        engine, start, case = key.split("|")
        if (engine, start) == (name, kind):
            found[case] = run
    return found


def report(runs: Runs, clicks: int) -> str:
    """Return the tables."""
    lines = [PREFACE.format(clicks=clicks)]
    for kind in STARTS:
        lines += [f"## From {'a ' * (kind != STARTS[0])}{kind}", "", _HEAD, "|---" * 11 + "|"]
        lines += [_row(name, _of(runs, name, kind)) for name in ENGINES if _of(runs, name, kind)]
        lines += [""]
    lines += ["![Dice over clicks](clicks.png)", ""]
    lines += ["## Each structure: Dice at the start, after 1, 3 and all clicks", ""]
    for kind in STARTS:
        lines += _each(runs, kind)
    return "\n".join(lines) + "\n"


_HEAD = (
    "| engine | structures | clicks to 0.75: median, mean (reached) | to 0.85 | to 0.90 "
    "| Dice start | 1 click | 3 clicks | last | largest loss by a click | s a click, median / worst |"
)


def _row(name: str, found: dict[str, dict[str, list[float]]]) -> str:
    every = [run["dice"] for run in found.values()]
    cells = []
    for goal in GOALS:
        counts = [needed(one, goal) for one in every]
        middle, most = statistics.median(counts), max(map(len, every)) - 1
        mean = statistics.mean(min(count, most) for count in counts)
        reached = sum(count < float("inf") for count in counts)
        cells.append(f"{'never' if middle == float('inf') else f'{middle:g}'}, {mean:.1f} ({reached})")
    means = [np.mean([one[min(n, len(one) - 1)] for one in every]) for n in (0, 1, 3, 99)]
    losses = [b - a for one in every for a, b in pairwise(one)]
    seconds = [s for run in found.values() for s in run["seconds"]]
    lost = sum(loss < WANTED_LOSS for loss in losses)
    told = f"{min(losses):+.3f} ({lost} of {len(losses)} below {WANTED_LOSS})"
    figures = " | ".join(f"{mean:.3f}" for mean in means)
    times = f"{statistics.median(seconds):.2f} / {max(seconds):.2f}"
    return f"| {name} | {len(every)} | {' | '.join(cells)} | {figures} | {told} | {times} |"


def _each(runs: Runs, kind: str) -> list[str]:
    names = [name for name in ENGINES if _of(runs, name, kind)]
    structures = list(dict.fromkeys(case for name in names for case in _of(runs, name, kind)))
    lines = [f"From {kind}:", "", "| structure | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for case in structures:
        cells = []
        for name in names:
            one = _of(runs, name, kind).get(case, {}).get("dice")
            picked = [one[min(n, len(one) - 1)] for n in (0, 1, 3, 99)] if one else []
            cells.append(" ".join(f"{p:.2f}" for p in picked) or "-")
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def picture(runs: Runs, clicks: int, path: Path) -> None:
    """Draw the mean Dice over clicks."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for axis, kind in zip(axes, STARTS, strict=True):
        for name in ENGINES:
            every = [run["dice"] for run in _of(runs, name, kind).values()]
            if every:
                means = [np.mean([one[min(n, len(one) - 1)] for one in every]) for n in range(clicks + 1)]
                axis.plot(range(clicks + 1), means, "o-", label=f"{name} ({len(every)})")
        axis.set(title=f"From {kind}", xlabel="clicks", ylabel="mean Dice", ylim=(0, 1))
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Work, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--engines", nargs="*", default=list(ENGINES))
    parser.add_argument("--groups", nargs="*", default=[])
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--again", action="store_true", help="do runs that are there already once more")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "clicks.json"
    runs: Runs = json.loads(kept.read_text()) if kept.is_file() else {}
    work(options, runs, lambda: kept.write_text(json.dumps(runs, indent=0)) and None)
    (options.out / "clicks.md").write_text(report(runs, options.clicks), encoding="utf-8")
    picture(runs, options.clicks, options.out / "clicks.png")


if __name__ == "__main__":
    main()
