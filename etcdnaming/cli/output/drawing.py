"""What all tables have in common: how rich draws them into a text."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from . import terminal
from .grid import Grid

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["draw"]


def draw(*parts: Grid | Text) -> str:
    """Return *parts* as stdout is to show them, with a blank line between those not empty."""
    drawn = io.StringIO()
    colour = terminal.wants_colour(sys.stdout)
    console = Console(
        file=drawn,
        width=terminal.width(sys.stdout),
        force_terminal=colour,
        color_system="standard" if colour else None,
    )
    for part in filter(len, parts):
        if drawn.tell():
            console.print()
        console.print(part, crop=False)
    return drawn.getvalue()
