"""How long an operation may take, however many calls and members it needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from weakref import ref

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


def within(seconds: float) -> _Bounded:
    """
    Bound all calls of the block together by *seconds*; inside another block its bound stays.

    A command made of several operations ends within the time of one.
    """
    outer = _current.get()()
    return _Bounded(outer.deadline if outer else Deadline(seconds))


class _Bounded:
    """A block with a deadline. Every call has two: a generator would take four times as long."""

    __slots__ = ("__weakref__", "_outside", "deadline")

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline

    def __enter__(self) -> Deadline:
        self._outside = _current.set(ref(self))
        return self.deadline

    def __exit__(self, *_: object) -> None:
        _current.reset(self._outside)


def _no_block() -> None:
    return None


# A signal handler may raise, as that of Ctrl-C does, before a block has begun or after it has
# ended, but while it is the current one. All later calls of the thread would then share a deadline
# that is over. So the reference is weak: only the `with` statement keeps a block alive.
_current: ContextVar[Callable[[], _Bounded | None]] = ContextVar("deadline", default=_no_block)
