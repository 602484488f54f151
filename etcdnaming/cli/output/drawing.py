"""What all tables have in common: how rich draws them into a text."""

from __future__ import annotations

import io
import sys
from typing import TextIO

from rich.console import Console
from rich.text import Text

from . import terminal
from .grid import Grid

__all__ = ["draw"]


def draw(*parts: Grid | Text, stream: TextIO | None = None) -> str:
    """Return *parts* as *stream* (stdout) is to show them, blank lines between those not empty."""
    drawn, shown = io.StringIO(), stream or sys.stdout
    colour = terminal.wants_colour(shown)
    console = Console(
        file=drawn,
        width=terminal.width(shown),
        force_terminal=colour,
        color_system="standard" if colour else None,
    )
    for part in filter(len, parts):
        if drawn.tell():
            console.print()
        # rich puts a text into one of its own, which forgets whether it may be folded.
        is_whole = isinstance(part, Text) and part.no_wrap
        console.print(part, crop=False, no_wrap=is_whole, overflow="ignore" if is_whole else None)
    return drawn.getvalue()
