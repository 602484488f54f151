"""How long an operation may take, however many calls and members it needs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Deadline", "within"]


class Deadline:
    """A point in time, *seconds* from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, never less than 0."""
        return max(0.0, self._end - time.monotonic())

    def cut(self) -> None:
        """Let it be over now."""
        self._end = 0.0


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[Deadline]:
    """
    Bound all calls of the block together by *seconds*; inside another block its bound stays.

    A command made of several operations ends within the time of one.
    """
    outer = _current.get()
    if outer is not None:
        yield outer
        return
    deadline = Deadline(seconds)
    reset = _current.set(deadline)
    try:
        yield deadline
    finally:
        _current.reset(reset)
