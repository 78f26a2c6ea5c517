"""What the real application has and this harness does not."""

from collections.abc import Iterable


class NotSimulated(Exception):
    """A member that exists in Slicer was used, and the harness has no stand-in for it.

    Not an AttributeError, so that `hasattr` and `getattr` with a default do not hide it.
    """


class Shim:
    """Base of stand-ins: a name listed in `exists_in_slicer` raises NotSimulated, any other AttributeError."""

    exists_in_slicer: Iterable[str] = ()

    def __getattr__(self, name: str) -> object:
        if name in self.exists_in_slicer:
            raise NotSimulated(f"{type(self).__name__}.{name} exists in Slicer but is not simulated by the harness")
        raise AttributeError(f"{type(self).__name__} has no member {name!r}")
