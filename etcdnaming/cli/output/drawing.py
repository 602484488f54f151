"""What all tables have in common: how rich draws them into a text."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from . import terminal
from .grid import Grid

if TYPE_CHECKING:
    from rich.text import Text

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
        console.print(part, crop=False)
    return drawn.getvalue()
