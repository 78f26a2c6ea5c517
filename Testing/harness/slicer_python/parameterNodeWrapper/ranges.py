"""A pair of numbers as one parameter."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FloatRange:
    """Two floats, the lower first."""

    minimum: float
    maximum: float


@dataclass(frozen=True)
class RangeBounds:
    """How far a range may reach."""

    minimum: float
    maximum: float

    def validate(self, value: FloatRange) -> None:
        if value.minimum < self.minimum or value.maximum > self.maximum:
            raise ValueError(f"Range must lie in [{self.minimum}, {self.maximum}], is {value}")
