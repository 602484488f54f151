"""What the terminal at the other end can do, and what its user wants of it."""

from __future__ import annotations

import os
import sys
from typing import TextIO

__all__ = ["UNKNOWN", "can_animate", "is_terminal", "size", "wanted_width", "wants_colour", "width"]

UNKNOWN = os.terminal_size((80, 24))
"""The size of a terminal that does not say how large it is."""


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
    """Return the columns for *stream*; a pipe or a file has as many as it takes."""
    if stream is None or not is_terminal(stream):
        return sys.maxsize
    return wanted_width() or size(stream.fileno()).columns


def wanted_width() -> int:
    """Return the columns that the user asks for in the environment; 0 for none."""
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isascii() and columns.isdecimal() else 0


def size(descriptor: int) -> os.terminal_size:
    """
    Return the columns and lines of the terminal at *descriptor* now.

    Terminals of docker, expect and serial lines often say 0, which means that they don't know.
    """
    found = os.get_terminal_size(descriptor)
    return os.terminal_size((found.columns or UNKNOWN.columns, found.lines or UNKNOWN.lines))
