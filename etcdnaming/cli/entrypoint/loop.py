"""One thread in which everything happens, one thing after another."""

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

__all__ = ["Loop", "in_thread", "signal_name"]


class Loop:
    """
    Waits for what a `Supervisor` sees, for timers and for other threads.

    All of it belongs to the main thread but `post`.
    """

    def __init__(self) -> None:
        self._supervisor = Supervisor()
        self._posted: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()  # timers of the same moment keep their order
        self._running: dict[Command, Callable[[int], None]] = {}
        self._result: int | BaseException | None = None

    def post(self, call: Callable[[], None]) -> None:
        """Have *call* done in the loop, soon. From any thread."""
        self._posted.append(call)
        self._supervisor.wake()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have *call* done after *seconds*."""
        due = time.monotonic() + seconds
        heapq.heappush(self._timers, (due, next(self._numbers), call))

    def launch(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        ended: Callable[[int], None],
        *,
        output: int | None = None,
        on_demand: bool = False,
    ) -> Command:
        """
        Run *argv*, and call *ended* with its exit code, 128 + n for signal n.

        With *output*, a descriptor for what it prints, it runs in the background; else it has the
        terminal: if *on_demand*, only from the time when it uses it.

        Raises:
            OSError, ValueError: As `Launcher.run`.
        """
        launcher = self._supervisor.launcher(output=output, on_demand=on_demand)
        command = launcher.run(argv, env)
        self._running[command] = ended
        return command

    def end(self, result: int | BaseException) -> None:
        """Let `run` return, or raise, *result*."""
        self._result = result

    def run(self, hear: Callable[[int], None]) -> int:
        """Go on until `end`; *hear* is called with every signal."""
        while self._result is None:
            self._do_what_is_posted()
            event = self._supervisor.wait(self._ring())
            if isinstance(event, Signalled):
                hear(event.number)
            elif isinstance(event, Exited):
                self._running.pop(event.command)(event.exit_code)
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result

    def _do_what_is_posted(self) -> None:
        while self._posted and self._result is None:
            self._posted.popleft()()

    def _ring(self) -> float | None:
        """Do what is due; return the seconds until more is."""
        while self._timers and self._result is None:
            left = self._timers[0][0] - time.monotonic()
            if left > 0:
                return left
            heapq.heappop(self._timers)[2]()
        return None if self._result is None else 0


def in_thread(name: str, work: Callable[[], object]) -> threading.Thread:
    """
    Have *work* done in a thread of its own, which ends with this process.

    Raises:
        BlockingIOError: There are too many processes and threads.
    """
    thread = threading.Thread(target=work, name=f"etcdnaming-{name}", daemon=True)
    try:
        thread.start()
    except RuntimeError as exc:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from exc
    return thread


def signal_name(number: int) -> str:
    """
    Return what a signal is called.

    >>> signal_name(15), signal_name(40)
    ('SIGTERM', 'signal 40')
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
