"""The way up, and what happens as long as it lasts."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import click

from ...process import stop_with_our_job
from ...registration.event import RegistrationEvent
from ..failures import LeaseLostError, TimedOutError
from ..signals import die_by
from .checker import Checker
from .ending import Ending
from .holder import Holder
from .loop import Loop
from .plan import Plan
from .probes import probe
from .program import Program
from .readiness import Readiness
from .telling import Telling

if TYPE_CHECKING:
    from ...registration.registration import Registration

__all__ = ["Entrypoint", "Make"]

Make: TypeAlias = Callable[[Callable[[RegistrationEvent], None]], "Registration"]
"""Makes the registration that calls its argument with all that happens to it."""

STOPS = {signal.SIGTERM, signal.SIGINT}
"""End everything in good order."""

FATAL = STOPS | {signal.SIGHUP, signal.SIGQUIT}
"""End us where there is no command to say what they mean."""

UNCONFIRMED = "etcd has not confirmed the end: what is left of it ends with its lease"


class Entrypoint:
    """Runs once. All of it belongs to the loop; *make* is called in a thread of its own."""

    def __init__(
        self,
        plan: Plan,
        loop: Loop,
        make: Make,
        telling: Telling,
    ) -> None:
        self._plan, self._loop, self._telling = plan, loop, telling
        self._holder = Holder(
            loop, partial(make, self._happens), failed=self._fail, warn=telling.warn
        )
        self._readiness = Readiness(plan.ready_file, os.environ, telling.warn)
        self._checker: Checker | None = None
        self._program: Program | None = None
        self._ending: Ending | None = None
        self._has_begun = self._has_lease = self._has_registered = False

    def run(self) -> int:
        """
        Return the exit code: of the command, if there was one.

        Raises:
            EtcdnamingError, click.UsageError, LeaseLostError, TimedOutError, CommandNotFoundError,
            CommandNotRunError, OSError: It ended by that.
        """
        self._telling.begin(lambda exc: self._loop.post(partial(self._be_unheard, exc)))
        self._loop.post(self._begin)
        if self._readiness.watchdog:
            self._loop.post(self._answer_watchdog)
        return self._loop.run(self._hear)

    def _begin(self) -> None:
        if self._plan.cmd and self._plan.start == "now":
            self._launch()
        if self._ending:
            return
        if self._plan.check is None:
            self._register()
        else:
            self._checker = Checker(
                self._loop,
                probe(self._loop, self._plan.check),
                self._plan.timing,
                well=self._be_well,
                unwell=self._be_unwell,
                late=self._be_late,
            )
            self._checker.begin()

    def _answer_watchdog(self) -> None:
        """Answer now and from now on: as long as the loop goes on, and so until CMD has ended."""
        self._readiness.alive()
        self._loop.later(self._readiness.watchdog, self._answer_watchdog)

    def _launch(self) -> None:
        try:
            self._program = Program(
                self._loop,
                self._plan.cmd,
                self._command_ended,
                self._telling.warn,
                # With a drain, Ctrl-C begins it; the command is signalled after it.
                on_demand=self._plan.drain > 0,
            )
        except Exception as exc:  # noqa: BLE001 - whatever it is, nothing may stay registered
            self._end(exc)

    def _register(self) -> None:
        # A command that runs is not ended by what etcd says.
        self._holder.begin(strict=self._program is None)

    def _happens(self, event: RegistrationEvent) -> None:
        """Hear of the registration, in its thread."""
        self._loop.post(partial(self._take, event))

    def _take(self, event: RegistrationEvent) -> None:
        self._telling.tell(event)
        self._has_lease |= event.kind == "granted"
        if self._ending:
            return
        if event.kind == "lost" and self._plan.on_lost == "exit":
            self._end(LeaseLostError(f"the lease was lost: {event.reason}"))
        elif event.kind == "withdrawn":
            self._readiness.pause()
        elif event.kind in {"registered", "regained"}:
            self._look_around()

    def _look_around(self) -> None:
        if self._holder.is_registered:
            self._be_registered()

    def _be_registered(self) -> None:
        self._telling.complete()
        self._readiness.begin()
        self._has_registered = True
        if self._plan.cmd and self._program is None:
            self._launch()

    def _be_well(self) -> None:
        self._telling.healthy()
        if self._has_begun:
            self._holder.want(wanted=True)
            self._look_around()  # it may never have been withdrawn: etcd was away
        else:
            self._register()
        self._has_begun = True

    def _be_unwell(self, trouble: str) -> None:
        self._readiness.pause()
        self._telling.unhealthy(trouble)
        self._holder.want(wanted=False)

    def _be_late(self, trouble: str) -> None:
        seconds = self._plan.timing.timeout
        self._end(TimedOutError(f"the check did not pass in {seconds:g}s: {trouble}"))

    def _be_unheard(self, exc: OSError) -> None:
        """Hear that nobody can hear us, which is no reason for a command to end, or not to be."""
        if not self._plan.cmd:
            self._end(exc)

    def _fail(self, exc: Exception) -> None:
        """Hear that there can be no registration."""
        if self._program and not self._ending and not isinstance(exc, click.UsageError):
            self._telling.warn(f"{exc}; the command goes on without")
        else:
            self._end(exc)

    def _hear(self, signum: int) -> None:
        if self._program and self._program.exit_code is None and signum not in STOPS:
            self._program.signal(signum)
        elif self._ending:
            if signum in FATAL:
                self._ending.hurry(signum)
        elif signum in FATAL:
            self._stop(signum)
        elif signum == signal.SIGTSTP:
            stop_with_our_job()

    def _stop(self, signum: int) -> None:
        if self._program:
            drain = self._plan.drain if self._has_registered else 0.0
            self._end(None, signum=signum, drain=drain)
        else:
            ends_by_it = bool(self._plan.cmd) or signum not in STOPS
            self._end(partial(die_by, signum) if ends_by_it else None, signum=signum)

    def _command_ended(self) -> None:
        if self._ending:
            self._ending.command_ended()
        else:
            self._end(None)

    def _end(
        self,
        why: Exception | Callable[[], object] | None,
        *,
        signum: int = signal.SIGTERM,
        drain: float = 0.0,
    ) -> None:
        """Begin the way down, at whose end stands the command's exit code, or *why*."""
        if self._ending:
            return
        self._readiness.end()
        if self._checker:
            self._checker.end()
        self._ending = Ending(
            self._loop,
            self._program,
            partial(self._be_over, why),
            signum=signum,
            drain=drain,
            patience=self._plan.patience,
        )
        self._ending.begin(self._holder)

    def _be_over(self, why: Exception | Callable[[], object] | None, clean: bool) -> None:
        if self._has_lease and not clean:
            self._telling.warn(UNCONFIRMED)
        self._telling.finish()
        if callable(why):
            why()
        elif why is not None:
            self._loop.end(why)
        else:
            self._loop.end(self._program.exit_code or 0 if self._program else 0)
