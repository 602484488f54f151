"""Find out what the terminal of a stream supports, and what the user prefers."""

from __future__ import annotations

import os
import sys
from typing import TextIO

__all__ = [
    "DEFAULT_SIZE",
    "can_animate",
    "columns_variable",
    "is_terminal",
    "size",
    "wants_colour",
    "width",
]

DEFAULT_SIZE = os.terminal_size((80, 24))
"""The size of a terminal that does not report it."""


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether *stream* is a terminal."""
    return stream is not None and stream.isatty()


def can_animate(stream: TextIO | None) -> bool:
    """Return whether text on *stream* can be overwritten."""
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def wants_colour(stream: TextIO | None) -> bool:
    """
    Return whether *stream* gets colours: NO_COLOR wins, then FORCE_COLOR, then the terminal.

    Both count only if they are not empty (no-color.org, force-color.org).
    """
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or can_animate(stream)


def width(stream: TextIO | None) -> int:
    """Return the columns of *stream*; a pipe or a file has no limit."""
    if stream is None or not is_terminal(stream):
        return sys.maxsize
    return columns_variable() or size(stream.fileno()).columns


def columns_variable() -> int:
    """Return the value of ``COLUMNS``; 0 if it is not set or invalid."""
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isascii() and columns.isdecimal() else 0


def size(descriptor: int) -> os.terminal_size:
    """
    Return the current columns and lines of the terminal at *descriptor*.

    The terminals of docker, expect and serial lines often report 0, which means unknown.
    """
    found = os.get_terminal_size(descriptor)
    return os.terminal_size(
        (found.columns or DEFAULT_SIZE.columns, found.lines or DEFAULT_SIZE.lines)
    )
