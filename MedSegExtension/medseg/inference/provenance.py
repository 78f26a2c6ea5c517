"""The record of how a result came about, the same for every engine of this room."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import medseg
from medseg.model_card import ModelCard
from medseg.segmenter import Provenance

_RECORDED = ("torch", "monai", "nnunetv2", "openvino", "SimpleITK", "numpy")


def provenance(
    card: ModelCard, device: str, options: Mapping[str, Any], notes: Sequence[str], seconds: Mapping[str, float]
) -> Provenance:
    """Describe a run that ends now."""
    return Provenance(
        model=card.name,
        version=card.version,
        sha256=card.sha256,
        software=_software(),
        device=device,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        options=dict(options),
        notes=tuple(notes),
        seconds=dict(seconds),
    )


def _software() -> dict[str, str]:
    versions = {"medseg": medseg.__version__, "python": platform.python_version()}
    for name in _RECORDED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # an optional package that this run did without
    return versions
