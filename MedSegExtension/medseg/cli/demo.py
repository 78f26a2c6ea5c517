"""`medseg demo`."""

import argparse

from medseg.cli.console import Console, common_options


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser("demo", help="demo")
    common_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Run the command."""
    raise NotImplementedError
