"""Show the progress of a command on stderr, if that is a terminal, unless it is to be quiet."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...printable import printable
from ..stderr import is_quiet
from .streams import can_animate, terminal_size, wants_colour

__all__ = ["StatusLine", "progress"]

CLEAR_LINE = "\x1b[K"

PLAIN_NUMBERS = {"progress.download": "none", "progress.remaining": "none"}
"""Styles of rich, which are hard to read on a light background: only the bar has a colour."""


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """
    Draw a progress bar on stderr, if that is a terminal, and remove it at the end.

    Yields a function to call with the number done so far.
    """
    if is_quiet() or not can_animate(sys.stderr):
        yield lambda _: None
        return
    from rich.console import Console  # only where the bar is seen
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
    from rich.theme import Theme

    # Results on stdout must not pass through the bar's console.
    console = Console(
        stderr=True,
        force_terminal=True,
        no_color=not wants_colour(sys.stderr),
        theme=Theme(PLAIN_NUMBERS),
    )
    with Progress(
        BarColumn(style="dim", complete_style="green", finished_style="green"),
        *(MofNCompleteColumn(), TimeRemainingColumn()),
        console=console,
        transient=True,
        redirect_stdout=False,
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


class StatusLine:
    """A line on stderr that is overwritten, if that is a terminal; usable in signal handlers."""

    def __init__(self) -> None:
        self._is_shown = not is_quiet() and can_animate(sys.stderr)

    def show(self, text: str) -> None:
        """Show *text* instead of the previous text."""
        if self._is_shown:
            # Written past Python's stream, which a signal handler may have interrupted.
            descriptor = sys.stderr.fileno()
            room = terminal_size(descriptor).columns - 1
            line = f"\r{_cut(printable(text), room)}{CLEAR_LINE}"
            os.write(descriptor, line.encode("utf-8", "replace"))

    def clear(self) -> None:
        """Remove the line."""
        self.show("")


def _cut(text: str, room: int) -> str:
    """Return *text* cut to one line, because a second one could not be overwritten."""
    if text.isascii() and len(text) <= room:
        return text
    from rich.cells import cell_len, set_cell_size  # only for a long text on a terminal

    return text if cell_len(text) <= room else set_cell_size(text, max(room - 1, 0)) + "…"
