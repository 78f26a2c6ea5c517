"""Collecting what the user must know, so that it can be shown and kept with the result."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from medseg.errors import Notice


@contextmanager
def collected(tell: Callable[[str], None] = lambda _text: None, repeat: bool = False) -> Iterator[list[str]]:
    """Gather the text of every `Notice` warned inside, each once, calling `tell` as it comes.

    With `repeat` they are warned again at the end, for whoever listens outside.
    Other warnings go where they would have gone. Not for use in two threads at a time (`warnings` is not).
    """
    notices: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", Notice)
        show_other = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **options: Any) -> None:
            if not issubclass(category, Notice):
                show_other(message, category, *rest, **options)
            elif str(message) not in notices:
                notices.append(str(message))
                tell(str(message))

        warnings.showwarning = show
        yield notices
    for notice in notices if repeat else ():
        warnings.warn(notice, Notice, stacklevel=4)
