"""The entrypoint: start the command, the check and the registration, and react to what they do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import click

from ...process import stop_job
from ...registration.status import RegistrationEvent
from ..failures import LeaseLostError, TimedOutError
from ..signals import die_by
from .health_check import HealthChecker
from .loop import ForegroundCommand, Loop, start_thread
from .options import Options
from .readiness import Readiness
from .registration_thread import RegistrationThread
from .reporter import Reporter, Status

if TYPE_CHECKING:
    from ...monitoring.pages import PageThread
    from ...registration.registration import Registration

__all__ = ["CreateRegistration", "Entrypoint", "Shutdown"]

CreateRegistration: TypeAlias = Callable[[Callable[[RegistrationEvent], None]], "Registration"]
"""Create a registration that calls its argument with each of its events."""

Ending: TypeAlias = Exception | Callable[[], object] | None
"""How the process ends: by an error, by a call, or with the command's exit code."""

STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
"""Signals that start the shutdown."""

FATAL_SIGNALS = STOP_SIGNALS | {signal.SIGHUP, signal.SIGQUIT}
"""Signals that start the shutdown if no command runs that they could be forwarded to."""

NOT_CONFIRMED = "cleanup not confirmed: remaining keys expire with the lease"

POLL_INTERVAL = 0.02
"""Seconds between two looks at the process group: the exit of grandchildren is not reported."""

ABANDON_TIMEOUT = 1.0
"""Seconds to wait, after SIGKILL, for processes of the group that can't be killed."""

DUPLICATE_INTERVAL = 0.1
"""Seconds within which the same signal counts once: timeout(1) sends each twice."""


class Entrypoint:
    """
    Run once, in the loop; *create_registration* is called in a thread of its own.

    *create_server* returns the server of ``--metrics``.

    Raises:
        click.UsageError, OSError: Nothing was started.
    """

    def __init__(
        self,
        options: Options,
        loop: Loop,
        create_registration: CreateRegistration,
        reporter: Reporter,
        create_server: Callable[[Status], PageThread] | None,
    ) -> None:
        self._options, self._loop, self._reporter = options, loop, reporter
        self._registration = RegistrationThread(
            loop,
            partial(create_registration, self._post_event),
            failed=self._registration_failed,
            warn=reporter.warn,
        )
        self._readiness = Readiness(options.ready_file, os.environ, reporter.warn)
        self._status = Status(
            reporter.states, self._registration, has_check=options.check is not None
        )
        self._server = create_server(self._status) if create_server else None
        self._checker: HealthChecker | None = None
        self._command: ForegroundCommand | None = None
        self._shutdown: Shutdown | None = None
        self._was_healthy = self._had_lease = self._was_registered = False

    def run(self) -> int:
        """
        Run until the end, and return the exit code: the command's, if there is one.

        Raises:
            EtcdnamingError, click.UsageError, LeaseLostError, TimedOutError, CommandNotFoundError,
            CommandNotRunError, OSError: The reason of the end.
        """
        self._reporter.start(lambda exc: self._loop.post(partial(self._write_failed, exc)))
        if self._server:
            start_thread("metrics", self._server.run)
        self._loop.post(self._start)
        if self._readiness.watchdog:
            self._loop.post(self._notify_watchdog)
        return self._loop.run(self._on_signal)

    def _start(self) -> None:
        if self._options.cmd and self._options.start == "now":
            self._start_command()
        if self._shutdown:
            return
        if self._options.check is None:
            self._register()
        else:
            self._checker = HealthChecker(
                self._loop,
                self._options.check,
                self._options.timing,
                healthy=self._healthy,
                unhealthy=self._unhealthy,
                timed_out=self._check_timed_out,
                on_result=self._status.on_check,
            )
            self._checker.start()

    def _notify_watchdog(self) -> None:
        """Notify systemd as long as the loop runs: until the command has exited."""
        self._readiness.notify_watchdog()
        self._loop.call_later(self._readiness.watchdog, self._notify_watchdog)

    def _start_command(self) -> None:
        try:
            self._command = ForegroundCommand(
                self._loop,
                self._options.cmd,
                self._command_exited,
                self._reporter.warn,
                # With a drain, Ctrl-C must reach this process, which signals the command after it.
                on_demand=self._options.drain > 0,
            )
            self._status.is_command_running = True
        except Exception as exc:  # noqa: BLE001 - whatever it is, nothing may stay registered
            self._end(exc)

    def _register(self) -> None:
        # Once a command runs, no error from etcd may end it.
        self._registration.start(strict=self._command is None)

    def _post_event(self, event: RegistrationEvent) -> None:
        """Pass an event from the registration's thread to the loop."""
        self._loop.post(partial(self._on_event, event))

    def _on_event(self, event: RegistrationEvent) -> None:
        self._reporter.report(event)
        self._status.on_event(event)
        self._had_lease |= event.kind == "granted"
        if self._shutdown:
            return
        if event.kind == "lost" and self._options.on_lost == "exit":
            self._end(LeaseLostError(f"the lease was lost: {event.reason}"))
        elif event.kind == "withdrawn":
            self._readiness.set_not_ready()
        elif event.kind in {"registered", "regained"}:
            self._check_registered()

    def _check_registered(self) -> None:
        if not self._registration.is_registered:
            return
        self._reporter.report_complete()
        self._readiness.set_ready()
        self._was_registered = True
        if self._options.cmd and self._command is None:
            self._start_command()

    def _healthy(self) -> None:
        self._status.is_healthy = True
        self._reporter.report_healthy()
        if self._was_healthy:
            self._registration.set_wanted(True)
            # No event follows if the withdrawal never reached etcd.
            self._check_registered()
        else:
            self._register()
        self._was_healthy = True

    def _unhealthy(self, reason: str) -> None:
        self._status.is_healthy = False
        self._readiness.set_not_ready()
        self._reporter.report_unhealthy(reason)
        self._registration.set_wanted(False)

    def _check_timed_out(self, reason: str) -> None:
        seconds = self._options.timing.timeout
        self._end(TimedOutError(f"the check did not pass in {seconds:g}s: {reason}"))

    def _write_failed(self, exc: OSError) -> None:
        """End if there is no command; a command runs on without a reader of the messages."""
        if not self._options.cmd:
            self._end(exc)

    def _registration_failed(self, exc: Exception) -> None:
        if self._command and not self._shutdown and not isinstance(exc, click.UsageError):
            self._reporter.warn(f"{exc}; the command runs on without a registration")
        else:
            self._end(exc)

    def _on_signal(self, signum: int) -> None:
        if self._command and self._command.exit_code is None and signum not in STOP_SIGNALS:
            self._command.signal(signum)
        elif self._shutdown:
            if signum in FATAL_SIGNALS:
                self._shutdown.another_signal(signum)
        elif signum in FATAL_SIGNALS:
            self._stop(signum)
        elif signum == signal.SIGTSTP:
            stop_job()

    def _stop(self, signum: int) -> None:
        if self._command:
            drain = self._options.drain if self._was_registered else 0.0
            if drain and not self._shutdown:
                self._reporter.report_draining(drain)
            self._end(None, signum=signum, drain=drain)
        else:
            # Die by the signal, unless it is the regular end of a registration without a command.
            dies = bool(self._options.cmd) or signum not in STOP_SIGNALS
            self._end(partial(die_by, signum) if dies else None, signum=signum)

    def _command_exited(self) -> None:
        self._status.is_command_running = False
        if self._shutdown:
            self._shutdown.command_exited()
        else:
            self._end(None)

    def _end(self, ending: Ending, *, signum: int = signal.SIGTERM, drain: float = 0.0) -> None:
        """Start the shutdown, if it has not started; *ending* applies when it is finished."""
        if self._shutdown:
            return
        self._status.is_stopping = True
        self._readiness.set_stopping()
        if self._checker:
            self._checker.stop()
        self._shutdown = Shutdown(
            self._loop,
            self._command,
            partial(self._finish, ending),
            signum=signum,
            drain=drain,
            stop_timeout=self._options.stop_timeout,
        )
        self._shutdown.start(self._registration)

    def _finish(self, ending: Ending, clean: bool) -> None:
        if self._had_lease and not clean:
            self._reporter.warn(NOT_CONFIRMED)
        if self._server:
            self._server.stop()
        self._reporter.finish()
        if callable(ending):
            ending()
        elif ending is not None:
            self._loop.end(ending)
        else:
            self._loop.end(self._command.exit_code or 0 if self._command else 0)


class Shutdown:
    """
    End the registration and *command*, in order, all of it in the loop.

    1. Delete the endpoints and revoke the lease, so that clients stop dialing.
    2. Wait for *drain* seconds, while clients notice.
    3. Send *signum* to the command's process group.
    4. After *stop_timeout* seconds, send SIGKILL to the group.
    5. When the group is gone and etcd answered (or took too long), call *finished* with whether
       etcd confirmed the end.

    The command may exit at any point: step 3 then follows at once, with SIGTERM, for processes that
    it left in its group. A second signal skips the drain, a third one kills.
    """

    def __init__(
        self,
        loop: Loop,
        command: ForegroundCommand | None,
        finished: Callable[[bool], None],
        *,
        signum: int,
        drain: float,
        stop_timeout: float,
    ) -> None:
        self._loop, self._command, self._finished = loop, command, finished
        self._signum, self._drain, self._stop_timeout = signum, drain, stop_timeout
        self._is_deregistered = self._is_clean = self._is_finished = False
        self._is_signalled = self._is_abandoned = False
        self._signals = 1
        self._last_signal = (signum, time.monotonic())

    def start(self, registration: RegistrationThread) -> None:
        """Start with the deregistration."""
        registration.close(self._deregistered)
        if self._command and self._command.exit_code is not None:
            self.command_exited()

    def another_signal(self, signum: int) -> None:
        """Handle a further signal: the second skips the drain, the third kills."""
        (last, at), self._last_signal = self._last_signal, (signum, time.monotonic())
        if signum == last and self._last_signal[1] - at < DUPLICATE_INTERVAL:
            return
        self._signals += 1
        if self._command is None:
            if self._signals > 2:
                self._finish()
        elif self._signals > 2:
            self._kill()
        elif self._is_signalled:
            self._command.signal(signum)
        else:
            self._drain = 0.0
            if self._is_deregistered:
                self._signal_command()

    def command_exited(self) -> None:
        """Signal the processes that the command left in its group, and wait for their end."""
        if not self._is_signalled:
            self._signum = signal.SIGTERM
            self._signal_command()
        self._poll()

    def _deregistered(self, clean: bool) -> None:
        self._is_deregistered, self._is_clean = True, clean
        if self._command is None:
            self._finish()
        elif self._command.exit_code is None:
            self._loop.call_later(self._drain, self._signal_command)

    def _signal_command(self) -> None:
        if self._command is None or self._is_signalled:
            return
        self._is_signalled = True
        self._command.signal(self._signum)
        self._loop.call_later(self._stop_timeout, self._kill)

    def _kill(self) -> None:
        if self._command:
            self._command.kill()
            if self._command.is_gone:
                self._poll()
        self._loop.call_later(ABANDON_TIMEOUT, self._abandon)

    def _abandon(self) -> None:
        self._is_abandoned = True

    def _poll(self) -> None:
        is_gone = self._is_abandoned or (self._command and self._command.is_gone)
        if is_gone and self._is_deregistered:
            self._finish()
        else:
            self._loop.call_later(POLL_INTERVAL, self._poll)

    def _finish(self) -> None:
        if not self._is_finished:
            self._is_finished = True
            self._finished(self._is_clean)
