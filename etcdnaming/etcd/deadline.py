"""
How long an operation may take, and how long to pause before another attempt.

The deadline is that of an operation, however many calls and members it needs.

The bound of a pause doubles with every failure; the pause is a random part of it (full jitter), so
that many clients that failed together don't return together.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextvars import ContextVar
from weakref import ref

from ..errors import AuthenticationError, TokenRefusedError

__all__ = [
    "FIRST_PAUSE",
    "MAX_STREAM_PAUSE",
    "Backoff",
    "Deadline",
    "doubled",
    "full_jitter",
    "jittered",
    "within",
]

FIRST_PAUSE = 0.2
"""Seconds before the second attempt, at most."""

LONGEST_PAUSE = 5.0
"""Seconds between two attempts, at most, unless the caller says otherwise."""

MAX_STREAM_PAUSE = 2.0
"""Seconds before a stream of leases or keys is opened again, at most."""

REFUSED_PAUSE = 30.0
"""Seconds until a login that was refused is tried again."""

STABLE_AFTER = 5.0
"""Seconds a stream must last for `Backoff` to count its failures from 0 again."""


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


def doubled(first: float, times: int, longest: float) -> float:
    """Return *first*, doubled so many *times*, and at most *longest*."""
    return min(longest, first * 2.0 ** min(times, 10))


def full_jitter(failures: int, longest: float = LONGEST_PAUSE) -> float:
    """Return how many seconds to pause after so many failures."""
    return random.uniform(0, doubled(FIRST_PAUSE, failures, longest))


def jittered(seconds: float) -> float:
    """Return *seconds*, up to 10 % more or less: what many clients do is not done at once."""
    return seconds * random.uniform(0.9, 1.1)


class Backoff:
    """
    The pauses before a stream is opened again: none after the first failure, then *longest*.

    *longest* is in seconds. A stream that was stable starts the count again.
    """

    def __init__(self, longest: float) -> None:
        self._longest, self._failures = longest, 0
        self._stable = Deadline(STABLE_AFTER)

    @property
    def failures(self) -> int:
        """Return how many attempts have failed since the last stable stream."""
        return self._failures

    def opened(self) -> None:
        """Note that a stream was opened."""
        self._stable = Deadline(STABLE_AFTER)

    def ended(self) -> None:
        """Note that the stream has ended, for whatever reason."""
        if not self._stable.left():
            self._failures = 0

    def pause(self) -> float:
        """Return how many seconds to pause, after one more failure."""
        failures, self._failures = self._failures, self._failures + 1
        return full_jitter(failures, self._longest) if failures else 0.0

    def pause_after(self, exc: Exception) -> float:
        """Do the same after *exc*; a refused login is not tried again soon."""
        pause = self.pause()
        if isinstance(exc, AuthenticationError) and not isinstance(exc, TokenRefusedError):
            return jittered(REFUSED_PAUSE)
        return pause
