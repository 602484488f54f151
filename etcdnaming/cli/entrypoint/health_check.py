"""``--check``: run a check again and again, and call back when its result changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeAlias

from ...addresses import HostPort
from ..child import start_errors
from ..failures import CommandNotFoundError, CommandNotRunError, describe
from .loop import Loop, command_environment, start_thread
from .options import Check, CheckTiming, ExecCheck, GrpcCheck, TcpCheck

__all__ = ["HealthChecker"]

STARTUP_INTERVAL = 0.5
"""Seconds between two runs, at most, until the check passes for the first time."""

MIN_TIMEOUT = 1.0
"""Seconds that one run may take, at least."""

MAX_OUTPUT = 500
"""Bytes kept from the end of a background command's output."""

OUTPUT_TIMEOUT = 0.2
"""Seconds to read the output after exit: a process that left the group may keep the pipe open."""

Done: TypeAlias = Callable[[str], None]
"""Called in the loop with the reason of a failure; empty if the check passes."""


class _Probe(Protocol):
    """One kind of check. It must not block the loop."""

    def start(self, timeout: float, done: Done) -> None:
        """Start one run; *done* may be called later than after *timeout* seconds, or never."""

    def stop(self) -> None:
        """Stop the current run; its result is not needed."""


class _ThreadProbe:
    """See `_Probe`; *check* blocks in a thread, and returns after its timeout at the latest."""

    def __init__(self, loop: Loop, check: Callable[[float], str]) -> None:
        self._loop, self._check = loop, check

    def start(self, timeout: float, done: Done) -> None:
        def run() -> None:
            try:
                reason = self._check(timeout)
            except Exception as exc:  # noqa: BLE001 - any error means that the check did not pass
                reason = str(exc) or type(exc).__name__
            self._loop.post(partial(done, reason))

        try:
            start_thread("check", run)
        except BlockingIOError as exc:
            done(describe(exc))

    def stop(self) -> None:
        """Do nothing: the thread ends by itself."""


class _BackgroundCommand:
    """
    Run *argv* in the background, and call *done* with a failure reason; empty for exit code 0.

    The reason is the exit code and the last line of output. All processes of its group are killed
    when it exits. Output is read through a pipe, since there may be no writable disk.

    Raises:
        OSError: It could not be started.
    """

    def __init__(self, loop: Loop, argv: Sequence[str], done: Callable[[str], None]) -> None:
        self._done = done
        self._output = _OutputTail()
        try:
            command = loop.launch(
                argv, command_environment(), self._exit, output=self._output.writer
            )
        finally:
            os.close(self._output.writer)
        self._kill: Callable[[], object] | None = command.kill

    def stop(self) -> None:
        """Kill it if it still runs."""
        if self._kill is not None:
            self._kill()

    def _exit(self, exit_code: int) -> None:
        self.stop()  # kills the processes it left behind
        self._kill = None
        self._done(self._reason(exit_code) if exit_code else "")

    def _reason(self, exit_code: int) -> str:
        line = self._output.last_line()
        return f"exit code {exit_code}{line and ': '}{line}"


class _OutputTail:
    """Keep the end of what is written to the descriptor *writer*, which the caller closes."""

    def __init__(self) -> None:
        reader, self.writer = os.pipe()
        self._tail = b""
        try:
            self._thread = start_thread("check-output", partial(self._read, reader))
        except BlockingIOError:
            os.close(reader)
            os.close(self.writer)
            raise

    def last_line(self) -> str:
        """Return the last line that is not empty."""
        self._thread.join(OUTPUT_TIMEOUT)
        lines = self._tail.decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _read(self, reader: int) -> None:
        with open(reader, "rb", buffering=0) as file:
            while data := file.read(65536):
                self._tail = (self._tail + data)[-MAX_OUTPUT:]


class _ExecProbe:
    """See `_Probe`; runs a command."""

    def __init__(self, loop: Loop, check: ExecCheck) -> None:
        self._loop, self._argv = loop, check.argv
        self._command: _BackgroundCommand | None = None

    def start(self, timeout: float, done: Done) -> None:
        try:
            with start_errors(self._argv[0]):
                self._command = _BackgroundCommand(self._loop, self._argv, done)
        except (CommandNotFoundError, CommandNotRunError) as exc:
            done(str(exc))

    def stop(self) -> None:
        if self._command is not None:
            self._command.stop()


def _run_network_check(check: TcpCheck | GrpcCheck, timeout: float) -> str:
    from ...probing import check_connection, check_grpc_health  # imports gRPC

    if isinstance(check, TcpCheck):
        return check_connection(HostPort(check.host, check.port), timeout).reason
    return check_grpc_health(check.address, check.service, timeout).reason


class HealthChecker:
    """
    Run *check* periodically, all of it in the loop.

    Args:
        healthy: Called when the check passes for the first time, and when it passes again.

        unhealthy: Called with a reason after too many failures in a row.

        timed_out: Called once with a reason, if the check never passed within its timeout.

        on_result: Called after each run with the reason of its failure, empty if it has passed.
    """

    def __init__(
        self,
        loop: Loop,
        check: Check,
        timing: CheckTiming,
        *,
        healthy: Callable[[], None],
        unhealthy: Callable[[str], None],
        timed_out: Callable[[str], None],
        on_result: Callable[[str], None],
    ) -> None:
        self._loop, self._timing = loop, timing
        self._probe: _Probe = (
            _ExecProbe(loop, check)
            if isinstance(check, ExecCheck)
            else _ThreadProbe(loop, partial(_run_network_check, check))
        )
        self._healthy, self._unhealthy, self._timed_out = healthy, unhealthy, timed_out
        self._on_result = on_result
        self._is_healthy: bool | None = None
        self._failures = 0
        self._run = 0
        """Number of the current run. Results and timers that carry another number are stale."""
        self._reason = "no result yet"
        self._next_at = 0.0

    def start(self) -> None:
        """Start checking."""
        if self._timing.timeout:
            self._loop.call_later(self._timing.timeout, self._time_out)
        self._start_run()

    def stop(self) -> None:
        """Stop checking."""
        self._run += 1  # the result of the current run is ignored
        self._probe.stop()

    def _start_run(self) -> None:
        self._run += 1
        run = self._run
        timeout = max(MIN_TIMEOUT, self._timing.interval)
        pause = self._timing.interval
        if self._is_healthy is None:
            pause = min(STARTUP_INTERVAL, pause)
        self._next_at = time.monotonic() + pause
        self._loop.call_later(timeout, lambda: self._abort_run(run, timeout))
        self._probe.start(timeout, lambda reason: self._finish_run(run, reason))

    def _abort_run(self, run: int, timeout: float) -> None:
        if run == self._run:
            self._probe.stop()
            self._finish_run(run, f"no answer in {timeout:g}s")

    def _finish_run(self, run: int, reason: str) -> None:
        if run != self._run:
            return
        self._run += 1
        run = self._run
        self._evaluate(reason)
        pause = max(0.0, self._next_at - time.monotonic())
        self._loop.call_later(pause, lambda: self._start_run() if run == self._run else None)

    def _evaluate(self, reason: str) -> None:
        self._failures = self._failures + 1 if reason else 0
        self._reason = reason
        self._on_result(reason)
        if not reason and not self._is_healthy:
            self._is_healthy = True
            self._healthy()
        elif self._is_healthy and self._failures >= self._timing.failures:
            self._is_healthy = False
            self._unhealthy(reason)

    def _time_out(self) -> None:
        if self._is_healthy is None:
            self._timed_out(self._reason)
