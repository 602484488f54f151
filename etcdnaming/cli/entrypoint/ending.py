"""The way down: the endpoints leave, clients take notice, and only then the command is told."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from .holder import Holder
from .loop import Loop
from .program import Program

__all__ = ["Ending"]

LOOK = 0.02
"""Seconds between two looks whether somebody is left: who is not our child ends unheard."""

ABANDON = 1.0
"""Seconds after which nobody waits for those of its group whom nobody can kill."""

ECHO = 0.1
"""Seconds in which a signal that comes again is the same one: timeout(1) sends each twice."""


class Ending:
    """
    Calls *over*, with whether etcd has confirmed it, when nothing is left of *program* and of us.

    Args:
        signum: What tells the command to end.

        drain: Seconds between the end of the endpoints and that.

        patience: Seconds between that, or its end, and the death of what is left of its group.
    """

    def __init__(
        self,
        loop: Loop,
        program: Program | None,
        over: Callable[[bool], None],
        *,
        signum: int,
        drain: float,
        patience: float,
    ) -> None:
        self._loop, self._program, self._over = loop, program, over
        self._signum, self._drain, self._patience = signum, drain, patience
        self._has_left = self._has_told = self._is_clean = self._is_over = False
        self._is_abandoned = False
        self._signals = 1
        self._heard = (signum, time.monotonic())

    def begin(self, holder: Holder) -> None:
        """Leave first of all."""
        holder.leave(self._leave)
        if self._program and self._program.exit_code is not None:
            self.command_ended()

    def hurry(self, signum: int) -> None:
        """Hear another signal: the second skips the drain, the third kills."""
        (last, at), self._heard = self._heard, (signum, time.monotonic())
        if signum == last and self._heard[1] - at < ECHO:
            return
        self._signals += 1
        if self._program is None:
            if self._signals > 2:
                self._finish()
        elif self._signals > 2:
            self._kill()
        elif self._has_told:
            self._program.signal(signum)
        else:
            self._drain = 0.0
            if self._has_left:
                self._tell()

    def command_ended(self) -> None:
        """See to it that nothing is left of its process group."""
        if not self._has_told:
            self._signum = signal.SIGTERM  # to those it has left behind
            self._tell()
        self._look()

    def _leave(self, clean: bool) -> None:
        self._has_left, self._is_clean = True, clean
        if self._program is None:
            self._finish()
        elif self._program.exit_code is None:
            self._loop.later(self._drain, self._tell)

    def _tell(self) -> None:
        if self._program is None or self._has_told:
            return
        self._has_told = True
        self._program.signal(self._signum)
        self._loop.later(self._patience, self._kill)

    def _kill(self) -> None:
        if self._program:
            self._program.kill()
            if self._program.is_gone:
                self._look()
        self._loop.later(ABANDON, self._abandon)

    def _abandon(self) -> None:
        self._is_abandoned = True

    def _look(self) -> None:
        is_gone = self._is_abandoned or (self._program and self._program.is_gone)
        if is_gone and self._has_left:
            self._finish()
        else:
            self._loop.later(LOOK, self._look)

    def _finish(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._over(self._is_clean)
