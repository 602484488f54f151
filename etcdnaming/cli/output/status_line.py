"""How a wait is going, in one line that is written over, for a person who looks at stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .spelling import printable
from .terminal import can_animate

__all__ = ["status_line"]

REST_OF_LINE = "\x1b[K"


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """
    Yield a function that shows a text in place of the one before; at the end there is none.

    Where nobody looks it shows nothing.
    """
    if not can_animate(sys.stderr):
        yield lambda _: None
        return
    try:
        yield _show
    finally:
        _show("")


def _show(text: str) -> None:
    columns = os.get_terminal_size(sys.stderr.fileno()).columns
    sys.stderr.write(f"\r{printable(text)[: columns - 1]}{REST_OF_LINE}")
    sys.stderr.flush()
