"""The event loop of ``lease-register``: one thread in which everything is decided."""

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

__all__ = ["Loop", "signal_name", "start_thread"]


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


def signal_name(number: int) -> str:
    """
    Return the name of a signal.

    >>> signal_name(15), signal_name(40)
    ('SIGTERM', 'signal 40')
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
