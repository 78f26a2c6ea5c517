"""The inference configuration of a MONAI bundle: read, searched for code, and made ready for our own use.

MONAI evaluates every string that starts with `$` as Python and calls whatever `_target_` names. So the configuration
is searched as a whole before any of it is evaluated.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medseg.errors import BadInput
from medseg.inference import bundle_targets
from medseg.inference.bundle_files import Bundle
from medseg.inference.bundle_targets import Use

Config = dict[str, Any]

# arguments in published bundles that MONAI has dropped since, and that never changed the result
_GONE = {"SwinUNETR": ("img_size",)}
_MOST_ITEMS = 200_000  # YAML aliases can unfold a few lines into billions of items
_DEEPEST = 60
_SHOWN = 5
# a copy of another place in the same configuration; relative macros are not among them, because MONAI puts the names
# of the keys around them in front, and a key can be the path of a file
_LOCAL_MACRO = re.compile(r"%[A-Za-z_]\w*((::|#)\w+)*")
_CUDA_DEVICE = re.compile(r"torch\.device\(\s*(['\"])cuda(:\d+)?\1\s*\)")


@dataclass(frozen=True)
class Finding:
    """One thing in a configuration that runs code, and where it stands."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def load(path: Path) -> Config:
    """Read a JSON or YAML configuration as MONAI does; nothing is evaluated.

    Raises:
        BadInput: if it is broken, or absurdly large.
    """
    import yaml
    from monai.bundle import ConfigParser

    try:
        config = ConfigParser.load_config_files(str(path))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, yaml.YAMLError) as fault:
        raise BadInput(f"bundle configuration {path} cannot be read: {fault}; download the bundle again") from fault
    if sum(1 for _ in itertools.islice(items(config), _MOST_ITEMS + 1)) > _MOST_ITEMS:
        raise BadInput(f"bundle configuration {path} is refused: it unfolds to more than {_MOST_ITEMS} items")
    return dict(config)


def findings(config: Mapping[str, Any], name: str = "") -> list[Finding]:
    """Search a whole configuration, keys included, for all that would run code or read other files."""
    return [Finding(f"{name}{where}", what) for where, value in items(config) if (what := _runs(value))]


def require_safe(bundle: Bundle, config: Mapping[str, Any], trusted_sha256: str) -> bool:
    """Refuse a bundle that runs code and that the user does not trust; return whether it is trusted.

    Args:
        bundle: the bundle.
        config: its inference configuration, from `load`.
        trusted_sha256: the fingerprint that the user trusts; "" for none.

    Raises:
        BadInput: if it runs code and no fingerprint is given, or it is not (or no longer) the one that is trusted.
    """
    found = [*findings(config, f"{bundle.config.name} "), *findings(bundle.metadata, "metadata.json ")]
    if not found and not trusted_sha256:
        return False
    if not trusted_sha256:
        raise BadInput(_refusal(bundle, found))
    if trusted_sha256.lower() != bundle.fingerprint:
        raise BadInput(
            f"bundle {bundle.folder} is not the one that is trusted: its files have SHA-256 {bundle.fingerprint}, "
            f"trusted is {trusted_sha256}. Read what changed; if you trust it still, add it again with "
            f"--trust {bundle.fingerprint}"
        )
    return True


def adapted(bundle: Bundle, config: Config, device: torch.device, trusted: bool) -> Config:
    """Return a copy that reads and writes no images, knows where it lies, and runs on `device`.

    Transforms work on the CPU, where volumes fit; the network and its parts go to `device`. Unless the bundle is
    trusted, names are replaced by the checked classes.
    """
    whole = {**config, "bundle_root": str(bundle.folder), "_meta_": dict(bundle.metadata)}
    copy: Config = _walked(whole, lambda node: _adapt(node, device, trusted), lambda text: _on(device, text))
    if "device" in copy:
        copy["device"] = device
    return copy


def loader(config: Mapping[str, Any]) -> str:
    """Return the id of the transform that reads the image, the one in `preprocessing` first; "" for none."""
    nodes = [(where, value) for where, value in items(config) if isinstance(value, dict)]
    found = [where for where, node in nodes if bundle_targets.is_loader(node.get("_target_"))]
    return min(found, key=lambda where: not where.startswith("preprocessing"), default="")


def items(value: Any, where: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield everything in a configuration, keys too, with MONAI's id of its place."""
    yield where, value
    if depth > _DEEPEST:
        raise BadInput(f"the bundle's configuration is refused: {where[:80]} is nested more than {_DEEPEST} deep")
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        inner = f"{where}::{key}" if where else str(key)
        if isinstance(key, str):
            yield inner, _Key(key)
        yield from items(child, inner, depth + 1)


class _Key(str):
    """A key, told apart from a value."""

    __slots__ = ()


def _runs(value: object) -> str:
    """Say what a string or component would run or read; "" for nothing."""
    if isinstance(value, str) and value.startswith("$"):
        return f"the expression {json.dumps(value[:80])}"
    if isinstance(value, _Key):
        return "asks for the debugger" if value == "_debug_" else ""
    if isinstance(value, str) and value.startswith("%") and not _LOCAL_MACRO.fullmatch(value):
        return f"a macro that may read another file, {json.dumps(value[:80])}"
    return _makes(value) if isinstance(value, dict) and "_target_" in value else ""


def _makes(node: Mapping[str, Any]) -> str:
    target = node["_target_"]
    if bundle_targets.judge(target)[0] is Use.REFUSED:
        return f"_target_ {json.dumps(target, default=str)[:80]}, which is not on the list of safe MONAI components"
    if node.get("_mode_", "default") not in ("default", "callable"):
        return f"_mode_ {json.dumps(node['_mode_'], default=str)[:80]}"
    return f"downloads weights, pretrained = {node['pretrained']!r}" if node.get("pretrained") else ""


def _refusal(bundle: Bundle, found: list[Finding]) -> str:
    more = f"\n  and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    listed = "".join(f"\n  {finding}" for finding in found[:_SHOWN])
    return (
        f"bundle {bundle.folder} runs code of its own, which is refused unless you trust it:{listed}{more}\n"
        f"Read its configs and scripts. If you trust them, add the bundle with --trust {bundle.fingerprint} (the "
        "SHA-256 of its configs, scripts and models; any later change to them ends the trust)"
    )


def _walked(value: Any, change: Callable[[Config], Config], on_text: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return change({key: _walked(child, change, on_text) for key, child in value.items()})
    if isinstance(value, list):
        return [_walked(child, change, on_text) for child in value]
    return on_text(value) if isinstance(value, str) else value


def _adapt(node: Config, device: torch.device, trusted: bool) -> Config:
    target = node.get("_target_")
    if target is None:
        return node
    for name in _GONE.get(str(target).rpartition(".")[2], ()):
        node.pop(name, None)
    if "device" in node:
        node["device"] = device if bundle_targets.is_network(target) else torch.device("cpu")
    if bundle_targets.is_loader(target) or bundle_targets.is_saver(target):
        node["_disabled_"] = True  # MONAI leaves disabled components out of lists
    if not trusted:
        use, found = bundle_targets.judge(target)
        node.update({"_target_": found} if use is Use.MADE else {"_disabled_": True})
    return node


def _on(device: torch.device, text: str) -> str:
    """Let an expression of a trusted bundle that insists on a GPU run where we run."""
    return _CUDA_DEVICE.sub(f"torch.device('{device}')", text) if text.startswith("$") else text
