"""Sensible choices of a registration engine, by what is to be registered."""

from __future__ import annotations

from dataclasses import dataclass, field

from medseg.engines import registrars_catalog
from medseg.engines.registrars_catalog import Options


@dataclass(frozen=True)
class Preset:
    """An engine and what is chosen of it.

    Attributes:
        name: how it is stored.
        title: what people read.
        engine: a name of `registrars_catalog.ENGINES`.
        options: what is chosen of it.
    """

    name: str
    title: str
    engine: str
    options: Options = field(default_factory=Options)

    @property
    def needs_points(self) -> bool:
        """Whether it goes by landmarks."""
        return registrars_catalog.find(self.engine).needs_points

    @property
    def needs_weights(self) -> bool:
        """Whether it is a network whose weights the user has on disk."""
        return registrars_catalog.find(self.engine).needs_weights


PRESETS = (
    Preset("same-rigid", "Same patient, rigid", "rigid", Options(measure="mattes")),
    Preset("ct-mr", "CT and MR of one patient, rigid", "rigid", Options(measure="mattes", turns=16)),
    Preset("same-deformable", "Same patient, deformable", "svf-fast", Options(measure="mind", linear="affine")),
    Preset("brains", "Brains of two patients", "svf-fast", Options(measure="lncc")),
    Preset(
        "brains-accurate",
        "Brains of two patients, accurate (slow without a GPU)",
        "svf-accurate",
        Options(measure="lncc", symmetric=True),
    ),
    Preset("landmarks", "Landmarks, rigid", "landmarks-rigid"),
    Preset("landmarks-deformable", "Landmarks, thin-plate spline", "landmarks-thin-plate"),
    Preset("learned", "A network of your own (medseg train)", "learned", Options(refine=True)),
    Preset("symnet", "SYMNet: brains without skull", "symnet", Options(refine=True)),
    Preset("unigradicon", "uniGradICON", "unigradicon", Options(refine=True)),
)
"""In the order in which a panel lists them."""
