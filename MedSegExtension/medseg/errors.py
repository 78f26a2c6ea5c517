"""The two ways work can go wrong that a caller must tell apart."""


class BadInput(ValueError):
    """What the user gave cannot be used; the message names it, the fault, and what to do.

    The command line answers with exit code 2.
    """


class Failed(RuntimeError):
    """The work itself failed (a full disk, a dead worker, a device fault); exit code 3."""


class Notice(UserWarning):
    """Something a reader of the result must know, though the work goes on (resampled, moved to the CPU ...)."""
