"""The rows that `registration.py` gathers, run by run, and the table they make."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Row = Mapping[str, Any]
TITLES = {
    "brains": "Brains of two subjects: structures drawn by hand (Neuromorphometrics), ordered pairs",
    "lung": "Lung CT, two visits: 100 landmarks (34.3 mm before)",
    "fields": "A T1 head bent by known fields of up to 15 mm: error inside the head",
    "ctmr": "CT and MR of one head: from random starts of up to 15 degrees and 20 mm",
}
COLUMNS = {
    "dice_deep": ("Dice, deep", "{:.3f}"),
    "dice_cortex": ("Dice, cortex", "{:.3f}"),
    "landmark_mm": ("landmarks, mm", "{:.2f}"),
    "landmark_inside_mm": ("landmarks in both images, mm", "{:.2f}"),
    "field_mm": ("field error, mm", "{:.2f}"),
    "still_mm": ("without registration, mm", "{:.2f}"),
    "spread_mm": ("spread, mm", "{:.2f}"),
    "within_3_mm": ("starts within 3 mm", "{:.0%}"),
    "sd_log_jacobian": ("SD of log Jacobian", "{:.2f}"),
    "folding_percent": ("folding, %", "{:.4g}"),
    "inverse_mm": ("inverse consistency, mm", "{:.3f}"),
    "seconds": ("seconds", "{:.1f}"),
}

JUDGED = ("dice_deep", "dice_cortex", "landmark_mm", "landmark_inside_mm", "field_mm", "sd_log_jacobian")


def add(row: Row, path: Path) -> None:
    """Append a row at once, so that a run that is stopped leaves what it has done."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")


def rows(path: Path) -> list[Row]:
    """Return the rows, of each case and method the latest."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    latest: dict[tuple[str, ...], Row] = {}
    for row in map(json.loads, lines):
        latest[row["part"], row["case"], row["method"]] = row
    return list(latest.values())


def table(gathered: Iterable[Row], machine: str, command: str) -> str:
    """Return the page, means over cases with the number of cases beside them."""
    gathered = list(gathered)
    text = ["# Registration", "", f"`{command}`, in parts; {machine}.", "", _NOTE]
    for part, title in TITLES.items():
        own = [row for row in gathered if row["part"] == part]
        if own:
            text += ["", f"## {title}", "", *_lines(own)]
        if own and part != "ctmr":
            text += ["", "On the cases that both ran, ours beside each peer:", "", *_beside(own)]
    return "\n".join(text) + "\n"


def _lines(own: list[Row]) -> list[str]:
    shown = [key for key in COLUMNS if any(row.get(key) is not None for row in own)]
    lines = [f"| method | cases | {' | '.join(COLUMNS[key][0] for key in shown)} |", "|---" * (len(shown) + 2) + "|"]
    for name in dict.fromkeys(row["method"] for row in own):
        cases = [row for row in own if row["method"] == name]
        lines.append(f"| {name} | {len(cases)} | {' | '.join(_mean(cases, key) for key in shown)} |")
    return lines


def _beside(own: list[Row]) -> list[str]:
    """Compare each of ours with each peer on the cases that both ran."""
    keys = [key for key in JUDGED if any(row.get(key) is not None for row in own)]
    heads = [f"{COLUMNS[key][0]}: ours, peer" for key in keys]
    lines = [f"| ours | peer | cases | {' | '.join(heads)} | peer's time in ours |", "|---" * (len(keys) + 4) + "|"]
    names = list(dict.fromkeys(row["method"] for row in own))
    for name, peer in itertools.product(filter(_ours, names), itertools.filterfalse(_ours, names)):
        here, there = ({row["case"]: row for row in own if row["method"] == one} for one in (name, peer))
        cases = [case for case in here if case in there]
        if cases:
            pairs = [", ".join(_mean([side[case] for case in cases], key) for side in (here, there)) for key in keys]
            times = np.mean([there[case]["seconds"] for case in cases]) / np.mean([here[c]["seconds"] for c in cases])
            lines.append(f"| {name} | {peer} | {len(cases)} | {' | '.join(pairs)} | {times:.1f} |")
    return lines


def _ours(name: str) -> bool:
    return "svf-" in name


def _mean(cases: list[Row], key: str) -> str:
    values = [row[key] for row in cases if row.get(key) is not None]
    if not values:
        return "-"
    worst = max(values) if key == "folding_percent" else float(np.mean(values))
    return COLUMNS[key][1].format(worst)


_NOTE = (
    "Means over the cases that each method was run on so far; of folding, the worst. Overlap of structures and "
    "smoothness belong together: a rougher field gains Dice (Rohlfing 2012). Peers run at their own defaults, all on "
    "the CPU; elastix may lose more samples than by default, else it refuses the lungs. "
    "SYMNet was trained on OASIS, which the labelled brains come from as well."
)
