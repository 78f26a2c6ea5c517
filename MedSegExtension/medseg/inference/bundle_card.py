"""From a MONAI bundle's metadata to a model card."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

from medseg import fingerprints
from medseg.errors import BadInput, Notice
from medseg.inference import bundle_config
from medseg.inference.bundle_files import Bundle
from medseg.model_card import Channel, Inference, ModelCard, Weights
from medseg.segmentation import PALETTE, Segment, default_segments

_LICENSES = {
    "Apache-2.0": r"Apache License\W+Version 2\.0",
    "MIT": r"\bMIT License|Permission is hereby granted, free of charge",
    "BSD-3-Clause": r"Neither the name of",
    "CC-BY-NC-SA-4.0": r"Attribution-NonCommercial-ShareAlike 4\.0",
    "CC-BY-NC-4.0": r"Attribution-NonCommercial 4\.0",
    "CC-BY-4.0": r"Attribution 4\.0",
}


def card_of(bundle: Bundle, trusted_sha256: str = "") -> ModelCard:
    """Describe a bundle as a model card.

    Args:
        bundle: from `bundle_files.read`.
        trusted_sha256: the fingerprint that the user trusts, for a bundle that runs code of its own.

    Raises:
        BadInput: if the bundle is incomplete, is no segmentation of images, or runs code and is not trusted.
    """
    config = bundle_config.load(bundle.config)
    trusted = bundle_config.require_safe(bundle, config, trusted_sha256)
    says = bundle.metadata
    title = _text(bundle.name, "bundle")
    return ModelCard(
        name=re.sub(r"[^a-z0-9._-]+", "-", title.lower()).strip("._-")[:64] or "bundle",
        version=_text(says.get("version"), "unknown"),
        title=title,
        description=_text(says.get("description") or says.get("task"), title),
        engine="bundle",
        license=_license(bundle),
        source=_text(says.get("authors"), "unknown"),
        intended_use=_text(says.get("intended_use"), "not stated by its authors; not for diagnosis"),
        training_data=_text(says.get("data_source"), ""),
        scores=_mapping(says.get("eval_metrics")),
        inputs=_inputs(bundle),
        segments=_segments(bundle, config),
        weights=(_weights(bundle),),
        inference=_inference(bundle, config),
        bundle={"path": str(bundle.folder), "sha256": bundle.fingerprint, "trusted": trusted},
    )


def keeps_channels(bundle: Bundle, config: Mapping[str, Any]) -> bool:
    """Whether each output channel is a structure of its own, so that structures may overlap.

    So it is where several channels are named, none of them background, and the postprocessing chooses no class.
    """
    names = _names(_output(bundle))
    chooses = _argument(config, "argmax") or _argument(config, "softmax")
    return len(names) > 1 and not any(map(_is_background, names.values())) and not chooses


def _inputs(bundle: Bundle) -> tuple[Channel, ...]:
    inputs = _mapping(_mapping(bundle.metadata.get("network_data_format")).get("inputs"))
    # some bundles give the image's type as "magnitude", or leave it out
    others = [key for key, value in inputs.items() if key != "image" and _mapping(value).get("type") != "image"]
    if not inputs or others:
        what = f"wants {', '.join(others)}, which is no image" if others else "does not say which images it wants"
        raise BadInput(f"bundle {bundle.folder} {what} (configs/metadata.json: network_data_format/inputs)")
    return tuple(channel for key, value in inputs.items() for channel in _channels(key, _mapping(value)))


def _channels(key: str, entry: Mapping[str, Any]) -> list[Channel]:
    names = _names(entry)
    modality = _text(entry.get("modality"), "").removeprefix("none")
    count = _count(entry) or len(names) or 1
    return [
        Channel(names.get(n, key if count == 1 else f"{key} {n + 1}"), modality, _text(entry.get("format"), ""))
        for n in range(count)
    ]


def _segments(bundle: Bundle, config: Mapping[str, Any]) -> tuple[Segment, ...]:
    names = _names(_output(bundle))
    if keeps_channels(bundle, config):
        return tuple(Segment(1, name, PALETTE[n % len(PALETTE)], layer=n) for n, name in sorted(names.items()))
    if len(names) == 1 and not _is_background(only := next(iter(names.values()))):
        return (Segment(1, only, PALETTE[0]),)
    found = {value: name for value, name in sorted(names.items()) if value > 0}
    if not found:
        return _unnamed(bundle)
    return tuple(Segment(value, name, PALETTE[(value - 1) % len(PALETTE)]) for value, name in found.items())


def _unnamed(bundle: Bundle) -> tuple[Segment, ...]:
    where = "configs/metadata.json: network_data_format/outputs/pred"
    count = _count(_output(bundle))
    if count == 0:
        raise BadInput(f"bundle {bundle.folder} does not say what it segments ({where})")
    warnings.warn(f"bundle {bundle.name} does not name what it segments ({where})", Notice, stacklevel=4)
    return default_segments(range(1, max(count, 2)))


def _output(bundle: Bundle) -> Mapping[str, Any]:
    outputs = _mapping(_mapping(bundle.metadata.get("network_data_format")).get("outputs"))
    entry = _mapping(outputs.get("pred") or next(iter(outputs.values()), None))
    if entry.get("format", "segmentation") not in ("segmentation", "labels", "label"):
        raise BadInput(f"bundle {bundle.folder} gives {entry['format']!r}, not a segmentation")
    return entry


def _names(entry: Mapping[str, Any]) -> dict[int, str]:
    defined = _mapping(entry.get("channel_def"))
    return {int(key): _text(name, f"channel {key}") for key, name in defined.items() if str(key).isdigit()}


def _count(entry: Mapping[str, Any]) -> int:
    count = entry.get("num_channels")
    return count if isinstance(count, int) and count > 0 else 0


def _is_background(name: str) -> bool:
    return name.strip().lower() in ("background", "bg", "unlabeled", "unlabelled")


def _argument(config: Mapping[str, Any], name: str) -> bool:
    """Whether any component of the configuration is given a true argument of this name."""
    found = [value for where, value in bundle_config.items(config) if where.endswith(f"::{name}")]
    return any(value is True or value == [True] for value in found)


def _inference(bundle: Bundle, config: Mapping[str, Any]) -> Inference:
    """Say what the configuration says in plain numbers, for the reader; what runs is the bundle's own inferer."""
    inferer = _mapping(config.get("inferer"))
    window = inferer.get("roi_size")
    plain = isinstance(window, list) and all(isinstance(n, int) and n > 0 for n in window)
    overlap = inferer.get("overlap", 0.25)
    amp = _mapping(config.get("evaluator")).get("amp", False)
    return Inference(
        window=tuple(window) if plain and isinstance(window, list) else (),
        overlap=float(overlap) if isinstance(overlap, float) else 0.25,
        precision="auto" if amp is True else "float32",
        classes=_count(_output(bundle)) or len(_names(_output(bundle))),
        activation="sigmoid" if _argument(config, "sigmoid") else "softmax",
    )


def _weights(bundle: Bundle) -> Weights:
    path = bundle.weights
    return Weights(path.relative_to(bundle.folder).as_posix(), fingerprints.of_file(path))


def _license(bundle: Bundle) -> str:
    if stated := bundle.metadata.get("license"):
        return _text(stated, "unknown")
    for path in sorted(bundle.folder.glob("LICEN[SC]E*")):
        text = path.read_text(encoding="utf-8", errors="replace")
        known = [name for name, pattern in _LICENSES.items() if re.search(pattern, text)]
        return known[0] if known else f"see {path.name}"
    return _text(bundle.metadata.get("copyright"), "unknown")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object, otherwise: str) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or otherwise
    return str(value).strip() if value not in (None, "", {}) else otherwise
