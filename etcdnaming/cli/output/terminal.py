"""What the terminal at the other end can do, and what its user wants of it."""

from __future__ import annotations

import os
import sys
from typing import TextIO

__all__ = ["can_animate", "is_terminal", "wants_colour", "width"]


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a person looks at *stream*."""
    return stream is not None and stream.isatty()


def can_animate(stream: TextIO | None) -> bool:
    """Tell whether what was written to *stream* can be drawn over."""
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def wants_colour(stream: TextIO | None) -> bool:
    """
    Tell whether *stream* is to be coloured: NO_COLOR wins, then FORCE_COLOR, then the terminal.

    Both count only if they are not empty (no-color.org, force-color.org).
    """
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or can_animate(stream)


def width(stream: TextIO | None) -> int:
    """Return the columns of *stream*; a pipe or a file has as many as it takes."""
    if not is_terminal(stream):
        return sys.maxsize
    from shutil import get_terminal_size  # brings compression of three kinds

    return get_terminal_size().columns
