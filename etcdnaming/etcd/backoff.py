"""
How long to pause before another attempt.

The bound of a pause doubles with every failure; the pause is a random part of it (full jitter), so
that many clients that failed together don't return together.
"""

from __future__ import annotations

import random

from ..errors import AuthenticationError, TokenRefusedError
from .deadline import Deadline

__all__ = ["FIRST_PAUSE", "MAX_STREAM_PAUSE", "Backoff", "doubled", "full_jitter", "jittered"]

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
    The pauses of one thread that reopens a stream: none after the first failure, then *longest*.

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
