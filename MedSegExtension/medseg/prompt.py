"""What the user shows an interactive network. Positions are LPS millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import SimpleITK as sitk

Position = tuple[float, float, float]


@dataclass(frozen=True)
class Point:
    """A click: inside the structure (positive) or outside of it."""

    position: Position
    positive: bool = True


@dataclass(frozen=True)
class Box:
    """An axis-aligned box in LPS mm around the structure (positive), or around what is not of it."""

    minimum: Position
    maximum: Position
    positive: bool = True

    def __post_init__(self) -> None:
        """Refuse a box whose corners are the wrong way round."""
        if any(low > high for low, high in zip(self.minimum, self.maximum, strict=True)):
            raise ValueError(f"box from {self.minimum} to {self.maximum} has its corners the wrong way round")


@dataclass(frozen=True, eq=False)
class Scribble:
    """A stroke, as a crop of a mask (uint8, stroke is 1) that carries its own origin."""

    mask: sitk.Image
    positive: bool = True


@dataclass(frozen=True, eq=False)
class Lasso:
    """A closed outline, filled, as a crop of a mask (uint8, inside is 1) that carries its own origin."""

    mask: sitk.Image
    positive: bool = True


Prompt = Point | Box | Scribble | Lasso
