"""`medseg doctor`: what works on this machine, and why the rest does not."""

import argparse
from typing import Any

from medseg.cli.console import Console, common_options
from medseg.engines import diagnosis


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser("doctor", help="check Python, PyTorch, GPU, memory, OpenGL, packages and models")
    common_options(parser)
    parser.set_defaults(run=run)


def run(_options: argparse.Namespace, console: Console) -> int:
    """Run the command; exit code 3 if no model can run here."""
    console.progress(0.0, "trying PyTorch and OpenGL")
    found = diagnosis.examine()
    usable = found["torch"]["works"] and any(not model["problem"] for model in found["models"])
    console.result({**found, "usable": usable}, _text(found))
    return 0 if usable else 3


def _text(found: dict[str, Any]) -> str:
    torch, gl, memory = found["torch"], found["gl"], found["memory_gb"]
    lines = [
        f"medseg     {found['medseg']}, Python {found['python']}",
        f"platform   {found['platform']}, {found['cpu_cores']} cores",
        f"memory     {memory['total']} GB, {memory['available']} GB available",
        f"PyTorch    {_verdict(torch)}" + (f"; {torch['version']} on {torch['device']}" if torch["works"] else ""),
        f"OpenGL     {_verdict(gl)}",
        "packages   " + ", ".join(f"{name} {version or 'MISSING'}" for name, version in found["packages"].items()),
        "models",
    ]
    lines += [f"  {model['name']:<20} {model['problem'] or 'ready'}" for model in found["models"]]
    return "\n".join(lines)


def _verdict(part: dict[str, Any]) -> str:
    return f"{'works' if part['works'] else 'DOES NOT WORK'} ({part['why']})"
