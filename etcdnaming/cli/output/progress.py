"""How far a long piece of work has come, for a person who waits for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .terminal import can_animate, wants_colour

__all__ = ["progress"]


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """
    Draw a bar on stderr, if it is a terminal, and wipe it away at the end.

    Yields a function to call with the number done so far.
    """
    if not can_animate(sys.stderr):
        yield lambda _: None
        return
    from rich.console import Console  # a door to rich: only where it is seen
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    # stdout stays as it is: results are none of its business.
    with Progress(
        *(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()),
        console=Console(stderr=True, force_terminal=True, no_color=not wants_colour(sys.stderr)),
        transient=True,
        redirect_stdout=False,
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)
