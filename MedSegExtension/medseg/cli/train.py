"""`medseg train`: a network of the user's own from a configuration, resumed where it was stopped."""

import argparse
import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from medseg.cli.console import Console, common_options
from medseg.engines import cards, weights
from medseg.errors import Failed
from medseg.progress import Cancelled, Progress, seconds

_SECONDS_BETWEEN_LINES = 60.0
_NEEDED = 'training needs {name}, which is not installed: pip install "medseg[inference,training]"'


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser("train", help="train a network on your own data")
    parser.add_argument("config", metavar="CONFIG", type=Path, help="a YAML file; examples lie in Resources/Training")
    parser.add_argument("--out", metavar="RUN", type=Path, help="folder of the run (CONFIG without its suffix)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in that folder")
    common_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Run the command."""
    folder: Path = options.out or options.config.with_suffix("")
    try:
        with console.noticing() as notices, _asked_to_stop() as asked:
            card = _train(options, folder, _progress(console, asked))
    except Cancelled:
        text = f"cancelled; go on with: medseg train {options.config} --resume --out {folder}"
        return console.fail(text, 130)
    made = json.loads(card.read_text(encoding="utf-8"))
    data = {"run": str(folder), "card": str(card), "scores": made["scores"], "notices": notices}
    console.result(data, _text(folder, made["scores"], made["engine"] == "registration"))
    return 0


def _train(options: argparse.Namespace, folder: Path, progress: Progress) -> Path:
    try:
        from medseg.training import config_file
        from medseg.training.run import train
    except ModuleNotFoundError as fault:
        raise Failed(_NEEDED.format(name=fault.name)) from fault
    config = config_file.read(options.config)
    start = weights.located(cards.find(config.start.card))["main"] if config.start.card else None
    return train(config, folder, progress, options.resume, start)


def _progress(console: Console, asked: threading.Event) -> Progress:
    """Show progress, as a line a minute where there is no terminal, and cancel between two steps once asked to."""
    said_at = time.monotonic()

    def report(fraction: float, message: str) -> None:
        nonlocal said_at
        if asked.is_set():
            raise Cancelled
        console.progress(fraction, message)
        if not console.draws and time.monotonic() - said_at > _SECONDS_BETWEEN_LINES:
            said_at = time.monotonic()
            console.note(f"{100 * fraction:3.0f} % {message}")

    return report


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Take the first Ctrl-C as a wish to stop after this step, with a checkpoint; the second stops at once."""
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _text(folder: Path, scores: dict[str, Any], registers: bool) -> str:
    lines = [f"{'trained':<12} {scores['training']['epochs']} epochs, {seconds(scores['training']['seconds'])}"]
    if best := scores["validation"]:
        name = "similarity" if best["dice"] is None else "Dice"
        lines.append(f"{'validation':<12} {name} {best[name.lower()]:.3f}")
    test = scores["test"]
    if test and "pairs" in test:
        before, after = test["similarity_before"], test["similarity"]
        lines.append(f"{'test':<12} similarity {before:.3f} -> {after:.3f}, {test['pairs']} pair(s)")
    elif test:
        mean = test["mean"]
        distance = mean["average_hausdorff_mm"]
        told = "not finite" if distance is None else f"{distance:.2f} mm"
        lines.append(f"{'test':<12} Dice {mean['dice']:.3f}, average Hausdorff {told}, {test['cases']} case(s)")
    lines.append(f"{'run':<12} {folder}")
    use = f"register FIXED MOVING --engine learned --weights {folder}" if registers else f"models add {folder}"
    lines.append(f"{'use' if registers else 'install':<12} medseg {use}")
    return "\n".join(lines)
