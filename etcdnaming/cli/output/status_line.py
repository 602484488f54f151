"""How a wait is going, in one line that is written over, for a person who looks at stderr."""

from __future__ import annotations

import os
import sys

from ...printable import printable
from .terminal import can_animate, size

__all__ = ["StatusLine"]

REST_OF_LINE = "\x1b[K"


class StatusLine:
    """A line on stderr, if that is a terminal. A handler of signals may use it too."""

    def __init__(self) -> None:
        self._is_shown = can_animate(sys.stderr)

    def show(self, text: str) -> None:
        """Show *text* in place of the one before."""
        if self._is_shown:
            # Not by Python's stream, which may be in the middle of something.
            descriptor = sys.stderr.fileno()
            room = size(descriptor).columns - 1
            line = f"\r{_fitted(printable(text), room)}{REST_OF_LINE}"
            os.write(descriptor, line.encode("utf-8", "replace"))

    def wipe(self) -> None:
        """Leave nothing of it."""
        self.show("")


def _fitted(text: str, room: int) -> str:
    """Return what of *text* fits into one line: in a second one it could not be written over."""
    if text.isascii() and len(text) <= room:
        return text
    from rich.cells import cell_len, set_cell_size  # only for those who look

    return text if cell_len(text) <= room else set_cell_size(text, max(room - 1, 0)) + "…"
