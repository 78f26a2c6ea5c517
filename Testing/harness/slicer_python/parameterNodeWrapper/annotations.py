"""What `Annotated[...]` may say about a parameter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Default:
    """The value a new node starts with."""

    value: Any


@dataclass(frozen=True)
class Decimals:
    """Decimals that the widget shows."""

    value: int


@dataclass(frozen=True)
class SingleStep:
    """The widget's step."""

    value: float


@dataclass(frozen=True)
class Minimum:
    """The least value allowed."""

    minimum: float

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must not be below {self.minimum}, is {value}")


@dataclass(frozen=True)
class Maximum:
    """The greatest value allowed."""

    maximum: float

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must not be above {self.maximum}, is {value}")


@dataclass(frozen=True)
class WithinRange:
    """Both ends, inclusive."""

    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within [{self.minimum}, {self.maximum}], is {value}")


@dataclass(frozen=True)
class Choice:
    """The only values allowed."""

    choices: Sequence[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be one of {self.choices}")


@dataclass(frozen=True)
class Exclude:
    """Values not allowed."""

    excludedValues: Sequence[Any]

    def validate(self, value: Any) -> None:
        if value in self.excludedValues:
            raise ValueError(f"Value {value} is excluded")
