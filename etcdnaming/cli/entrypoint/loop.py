"""The event loop of ``lease-register``, one thread in which all is decided, and CMD."""

from __future__ import annotations

import errno
import heapq
import itertools
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from ...process import Command, Exited, Signalled, Supervisor
from ..child import environment, start_errors

__all__ = ["ForegroundCommand", "Loop", "command_environment", "start_thread"]

ANOTHER_USER = "it runs as another user"

SYSTEMD_VARIABLES = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}
"""Variables that ask this process, not the command, to notify systemd; `Readiness` does."""


class Loop:
    """
    Wait for signals, exits of commands, timers and calls from other threads, one at a time.

    It runs in the main thread, because Python runs signal handlers there. Nothing in the loop may
    block: a blocked loop forwards no signal and reaps no child. Only `post` is thread-safe; it
    appends to a queue and then wakes the `Supervisor`, whose `wait` is the only place that sleeps.
    """

    def __init__(self) -> None:
        self._supervisor = Supervisor()
        self._posted: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()  # timers due at the same time keep their order
        self._running: dict[Command, Callable[[int], None]] = {}
        self._result: int | BaseException | None = None

    def post(self, call: Callable[[], None]) -> None:
        """Run *call* in the loop as soon as possible. From any thread."""
        self._posted.append(call)
        self._supervisor.wake()

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Run *call* after *seconds*."""
        due = time.monotonic() + seconds
        heapq.heappush(self._timers, (due, next(self._numbers), call))

    def launch(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        exited: Callable[[int], None],
        *,
        output: int | None = None,
        on_demand: bool = False,
    ) -> Command:
        """
        Start *argv*; when it exits, call *exited* with its exit code, 128 + n for signal n.

        With *output*, a descriptor for its stdout and stderr, it runs in the background. Otherwise
        it gets the terminal; with *on_demand*, only when it first uses it.

        Raises:
            OSError, ValueError: As `Launcher.run`.
        """
        launcher = self._supervisor.launcher(output=output, on_demand=on_demand)
        command = launcher.run(argv, env)
        self._running[command] = exited
        return command

    def end(self, result: int | BaseException) -> None:
        """Make `run` return *result*, or raise it."""
        self._result = result

    def run(self, on_signal: Callable[[int], None]) -> int:
        """Run until `end` is called; *on_signal* is called with each signal's number."""
        while self._result is None:
            self._run_posted()
            event = self._supervisor.wait(self._run_due_timers())
            if isinstance(event, Signalled):
                on_signal(event.number)
            elif isinstance(event, Exited):
                self._running.pop(event.command)(event.exit_code)
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result

    def _run_posted(self) -> None:
        while self._posted and self._result is None:
            self._posted.popleft()()

    def _run_due_timers(self) -> float | None:
        """Return the seconds until the next timer is due; ``None`` if there is none."""
        while self._timers and self._result is None:
            left = self._timers[0][0] - time.monotonic()
            if left > 0:
                return left
            heapq.heappop(self._timers)[2]()
        return None if self._result is None else 0


def command_environment() -> Mapping[str, str]:
    """Return the environment of CMD and of ``--check exec:CMD``."""
    return {name: value for name, value in environment().items() if name not in SYSTEMD_VARIABLES}


class ForegroundCommand:
    """
    Run *cmd* with this process's stdin, stdout, stderr and terminal, in its own process group.

    *exited* is called in the loop when its process has exited, *warn* with warnings. With
    *on_demand*, the terminal's Ctrl-C reaches this process until *cmd* uses the terminal.

    Raises:
        CommandNotFoundError, CommandNotRunError: It could not be started.
    """

    def __init__(
        self,
        loop: Loop,
        cmd: Sequence[str],
        exited: Callable[[], None],
        warn: Callable[[str], None],
        *,
        on_demand: bool,
    ) -> None:
        self.exit_code: int | None = None
        """``None`` while it runs; then its exit code, 128 + n for signal n."""
        self._is_abandoned = False
        self._exited, self._warn = exited, warn
        with start_errors(cmd[0]):
            self._command = loop.launch(cmd, command_environment(), self._exit, on_demand=on_demand)

    @property
    def is_gone(self) -> bool:
        """Whether no process of its group is left, or it was abandoned."""
        return self._is_abandoned or (
            self.exit_code is not None and not self._command.has_processes
        )

    def signal(self, number: int) -> None:
        """Send a signal to its process group."""
        if not self._command.signal(number):
            self._warn(f"{_signal_name(number)} can't be sent: {ANOTHER_USER}")

    def kill(self) -> None:
        """Kill its process group; if the system does not permit that, abandon the command."""
        if not self._command.kill() and self.exit_code is None:
            self._is_abandoned = True
            # The code of a killed command. If this process is PID 1, its exit kills the command.
            self.exit_code = 128 + signal.SIGKILL
            self._warn(f"the command can't be killed: {ANOTHER_USER}; not waiting for its end")

    def _exit(self, exit_code: int) -> None:
        self.exit_code = exit_code
        self._exited()


def start_thread(name: str, target: Callable[[], object]) -> threading.Thread:
    """
    Run *target* in a new daemon thread.

    Raises:
        BlockingIOError: The limit of processes and threads is reached.
    """
    thread = threading.Thread(target=target, name=f"etcdnaming-{name}", daemon=True)
    try:
        thread.start()
    except RuntimeError as exc:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from exc
    return thread


def _signal_name(number: int) -> str:
    """
    Return the name of a signal.

    >>> _signal_name(15), _signal_name(40)
    ('SIGTERM', 'signal 40')
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
