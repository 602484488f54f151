"""Whether the service is well, by looking at it again and again."""

from __future__ import annotations

import time
from collections.abc import Callable

from .loop import Loop
from .plan import Timing
from .probes import Probe

__all__ = ["Checker"]

EAGER = 0.5
"""Seconds between two looks, at most, until the first that finds it well."""

SHORTEST = 1.0
"""Seconds that a look may take, at least."""


class Checker:
    """
    Calls *well* when it begins to be well, *unwell* (with a reason) after too many failures.

    *late* is called, once, with the reason, if it was never well in the time it had.
    """

    def __init__(
        self,
        loop: Loop,
        probe: Probe,
        timing: Timing,
        *,
        well: Callable[[], None],
        unwell: Callable[[str], None],
        late: Callable[[str], None],
    ) -> None:
        self._loop, self._probe, self._timing = loop, probe, timing
        self._well, self._unwell, self._late = well, unwell, late
        self._is_well: bool | None = None
        self._failures = self._looks = 0
        self._trouble = "it has not answered"
        self._due = 0.0

    def begin(self) -> None:
        """Begin."""
        if self._timing.timeout:
            self._loop.later(self._timing.timeout, self._be_late)
        self._look()

    def end(self) -> None:
        """Look no more."""
        self._looks += 1  # what is under way is not waited for
        self._probe.stop()

    def _look(self) -> None:
        self._looks += 1
        number = self._looks
        limit = max(SHORTEST, self._timing.interval)
        pause = self._timing.interval if self._is_well is not None else self._eager()
        self._due = time.monotonic() + pause
        self._loop.later(limit, lambda: self._hang(number, limit))
        self._probe.look(limit, lambda trouble: self._answer(number, trouble))

    def _eager(self) -> float:
        return min(EAGER, self._timing.interval)

    def _hang(self, number: int, limit: float) -> None:
        if number == self._looks:
            self._probe.stop()
            self._answer(number, f"no answer in {limit:g}s")

    def _answer(self, number: int, trouble: str) -> None:
        if number != self._looks:
            return  # it comes too late
        self._looks += 1
        number = self._looks
        self._judge(trouble)
        pause = max(0.0, self._due - time.monotonic())
        self._loop.later(pause, lambda: self._look() if number == self._looks else None)

    def _judge(self, trouble: str) -> None:
        self._failures = self._failures + 1 if trouble else 0
        self._trouble = trouble
        if not trouble and not self._is_well:
            self._is_well = True
            self._well()
        elif self._is_well and self._failures >= self._timing.failures:
            self._is_well = False
            self._unwell(trouble)

    def _be_late(self) -> None:
        if self._is_well is None:
            self._late(self._trouble)
