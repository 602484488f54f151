"""How long an operation may take, however many calls and members it needs."""

from __future__ import annotations

import time
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

    def renew(self) -> None:
        """Let all the seconds begin again now."""
        self._end = time.monotonic() + self.seconds

    def cut(self) -> None:
        """Let it be over now."""
        self._end = 0.0


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def within(seconds: float) -> _Bounded:
    """
    Bound all calls of the block together by *seconds*; inside another block its bound stays.

    A command made of several operations ends within the time of one.
    """
    return _Bounded(_current.get() or Deadline(seconds))


class _Bounded:
    """A block with a deadline. Every call has two: a generator would take four times as long."""

    __slots__ = ("_deadline", "_outside")

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def __enter__(self) -> Deadline:
        self._outside = _current.set(self._deadline)
        return self._deadline

    def __exit__(self, *_: object) -> None:
        _current.reset(self._outside)
