"""The working parts of a MONAI bundle: its own preprocessing, network, inferer and postprocessing, built by MONAI."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc import ErrorDuringImport
from typing import Any

import torch

from medseg.errors import BadInput
from medseg.inference import bundle_config, bundle_targets, bundle_weights, networks
from medseg.inference.bundle_config import Config
from medseg.inference.bundle_files import Bundle

_KEPT = {"torch", "monai", "numpy", "medseg"}
_BUILDING = (ErrorDuringImport, RuntimeError, ImportError, ValueError, KeyError, TypeError, AttributeError, OSError)


@dataclass(frozen=True)
class Loading:
    """How the bundle's own loader would have handed over the image."""

    keys: tuple[str, ...] = ("image",)
    channel_first: bool = False
    with_meta: bool = False


@dataclass(frozen=True)
class Parts:
    """What a bundle does to an image, step by step."""

    loading: Loading
    preprocessing: Sequence[Any]
    network: torch.nn.Module
    inferer: Any
    postprocessing: Sequence[Any]
    mixed_precision: bool


def build(bundle: Bundle, config: Config, device: torch.device, trusted: bool) -> Parts:
    """Let MONAI build the parts from a checked configuration, and fill in the weights.

    Raises:
        BadInput: if a part is missing or cannot be built, or the weights do not fit.
    """
    from monai.bundle import ConfigParser

    parser = ConfigParser(bundle_config.adapted(bundle, config, device, trusted))
    with importing_from(bundle.folder) if trusted else contextlib.nullcontext():
        _parse(bundle, parser, trusted)
        return Parts(
            loading=_loading(bundle, parser),
            preprocessing=_steps(_made(bundle, parser, "preprocessing")),
            network=_network(bundle, parser).to(device).eval(),
            inferer=_made(bundle, parser, "inferer"),
            postprocessing=_steps(_made(bundle, parser, "postprocessing")),
            mixed_precision=bool((config.get("evaluator") or {}).get("amp", False)),
        )


@contextlib.contextmanager
def importing_from(folder: Path) -> Iterator[None]:
    """Let a trusted bundle import its own scripts, and leave no trace of them.

    Most bundles call their package `scripts`, so one bundle must never see another's. Compiled files are neither
    read nor written: they are not part of the fingerprint.
    """
    own = {path.stem for path in folder.iterdir()} - sys.stdlib_module_names - _KEPT
    hidden = {name: sys.modules.pop(name) for name in _loaded(own)}
    before = sys.path[:], sys.dont_write_bytecode, sys.pycache_prefix
    with tempfile.TemporaryDirectory() as nowhere:
        sys.path.insert(0, str(folder))
        sys.dont_write_bytecode, sys.pycache_prefix = True, nowhere
        try:
            yield
        finally:
            sys.path[:], sys.dont_write_bytecode, sys.pycache_prefix = before
            for name in _loaded(own):
                del sys.modules[name]
            sys.modules.update(hidden)


def _loaded(names: set[str]) -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] in names]


def _parse(bundle: Bundle, parser: Any, trusted: bool) -> None:
    try:
        parser.parse()
    except _BUILDING as fault:
        raise BadInput(f"bundle {bundle.folder}: {bundle.config.name} is inconsistent: {_reason(fault)}") from fault
    if not trusted and (code := _code_in(parser)):
        raise BadInput(f"bundle {bundle.folder} is refused: {bundle.config.name} turned out to run code at {code}")


def _code_in(parser: Any) -> str:
    """Return the place of the first item that MONAI would run and that was not checked; "" as it should be."""
    from monai.bundle import ConfigComponent, ConfigExpression

    for where, item in parser.ref_resolver.items.items():
        component = isinstance(item, ConfigComponent) and not item.is_disabled()
        unchecked = component and not isinstance(item.get_config()["_target_"], type)
        if unchecked or isinstance(item, ConfigExpression):
            return str(where)
    return ""


def _made(bundle: Bundle, parser: Any, name: str) -> Any:
    """Let MONAI make one part; None if the configuration has no such part."""
    if parser.get(name) is None:
        return None
    try:
        return parser.get_parsed_content(name)
    except _BUILDING as fault:
        raise BadInput(
            f"bundle {bundle.folder}: its {name} cannot be built: {_reason(fault)} (the bundle is for MONAI "
            f"{bundle.metadata.get('monai_version', 'of a version it does not say')}, installed is {_version()})"
        ) from fault


def _version() -> str:
    import monai

    return str(monai.__version__)


def _loading(bundle: Bundle, parser: Any) -> Loading:
    where = bundle_config.loader(parser.get())
    if not where:
        return Loading()
    keys, first, only = (
        _made(bundle, parser, f"{where}::{name}") for name in ("keys", "ensure_channel_first", "image_only")
    )
    return Loading((keys,) if isinstance(keys, str) else tuple(keys), bool(first), only is False)


def _steps(part: Any) -> tuple[Any, ...]:
    """Return the single transforms of a part, without those that read or write image files."""
    from monai.transforms import Compose

    if part is None:
        return ()
    steps = part.transforms if isinstance(part, Compose) else (part,)
    if any(getattr(step, "lazy", False) for step in (part, *steps)):
        steps = (part,)  # resampling put off to the end must not be cut apart
    return tuple(step for step in steps if step is not None and not _does_files(step))


def _does_files(step: Any) -> bool:
    name = type(step).__name__
    return bundle_targets.is_loader(name) or bundle_targets.is_saver(name)


def _network(bundle: Bundle, parser: Any) -> torch.nn.Module:
    weights = bundle.weights
    if weights.suffix == ".ts":
        return networks.scripted(weights)
    name = "network" if parser.get("network") is not None else "network_def"
    network = _made(bundle, parser, name)
    if not isinstance(network, torch.nn.Module):
        raise BadInput(f"bundle {bundle.folder}: {bundle.config.name} defines no network (network or network_def)")
    bundle_weights.fill(network, bundle_weights.read_state(weights), weights)
    return network


def _reason(fault: BaseException) -> str:
    """Return the first line of what was wrong at the bottom: MONAI wraps faults in faults."""
    while fault.__cause__ is not None:
        fault = fault.__cause__
    return (str(fault).strip() or type(fault).__name__).splitlines()[0][:300]
