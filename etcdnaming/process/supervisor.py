"""Receive the signals and reap the children of this process, in the caller's loop."""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType
from typing import NamedTuple, TypeAlias

from .command import Command, InheritedSignals, Launcher

__all__ = ["Event", "Exited", "Signalled", "Supervisor"]

PR_SET_CHILD_SUBREAPER = 36

IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}  # Python raises exceptions instead

NOT_FORWARDED = IGNORED_BY_PYTHON | {
    *(signal.SIGKILL, signal.SIGSTOP),  # can't be handled
    *(signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU),  # are about this process
    *(signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL),  # are faults of this process
    *(signal.SIGSEGV, signal.SIGSYS, signal.SIGTRAP),
}

MAX_SLEEP = 3600.0  # seconds; `poll` accepts some weeks at most


class Signalled(NamedTuple):
    """A signal arrived."""

    number: int


class Exited(NamedTuple):
    """A command has exited."""

    command: Command

    status: int
    """Its exit code; -n if signal n killed it."""

    @property
    def exit_code(self) -> int:
        """The exit code as in a shell: 128 + n for signal n."""
        return 128 - self.status if self.status < 0 else self.status


Event: TypeAlias = Signalled | Exited


class Supervisor:
    """
    Receive all signals and reap all children, until the process ends. There can be only one.

    All of it but `wake` belongs to the main thread: Python runs signal handlers there, and the
    kernel kills the commands when the thread that started them ends. Signals that were ignored when
    this process was started stay ignored, here and in the commands.
    """

    def __init__(self) -> None:
        self._signals: deque[int] = deque()
        self._exited: deque[Exited] = deque()
        self._running: dict[int, Command] = {}
        self._woken = False
        self._readable, self._writable = _wakeup_pipe()
        self._inherited = _handle_signals(self._on_signal)
        if os.getpid() != 1:
            _adopt_orphans()

    def launcher(self, *, output: int | None = None, on_demand: bool = False) -> Launcher:
        """
        Start a process that waits to become a command.

        Args:
            output: A descriptor for stdout and stderr of a command in the background, which has no
                stdin, no other descriptor and no terminal. Without it, the command inherits those
                of this process, and all descriptors that this process was started with.

            on_demand: As for `Command`, for a command in the foreground.

        Raises:
            OSError: No process can be created.
        """
        return Launcher(self._inherited, output, self._started, on_demand=on_demand)

    def wait(self, timeout: float | None = None) -> Event | None:
        """
        Return the next event: signals first, then exits of commands.

        Returns ``None`` after *timeout* seconds, or after a call of `wake`.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            self._reap()
            if self._signals:
                return Signalled(self._signals.popleft())
            if self._exited:
                return self._exited.popleft()
            if self._woken or time.monotonic() >= deadline:
                self._woken = False
                return None
            self._sleep(deadline)

    def wake(self) -> None:
        """Make the current or next call of `wait` return. From any thread."""
        self._woken = True
        with suppress(BlockingIOError):  # the pipe is full, so `wait` wakes anyway
            os.write(self._writable, b"\0")

    def _started(self, command: Command) -> None:
        self._running[command.pid] = command

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        # The bytes in the pipe hold the numbers too, but a full pipe would lose some.
        if number != signal.SIGCHLD:
            self._signals.append(number)

    def _sleep(self, deadline: float) -> None:
        seconds = min(deadline - time.monotonic(), MAX_SLEEP)
        poller = select.poll()  # `select.select` fails for descriptors above 1023
        poller.register(self._readable, select.POLLIN)
        if poller.poll(max(0, math.ceil(seconds * 1000))):
            os.read(self._readable, 65536)

    def _reap(self) -> None:
        for pid, status in _changed_children():
            command = self._running.get(pid)
            if command is None:
                continue  # an adopted orphan, or a launcher that got no order
            if os.WIFSTOPPED(status):
                command.follow_stop(os.WSTOPSIG(status))
            else:
                del self._running[pid]
                command.note_end()
                self._exited.append(Exited(command, os.waitstatus_to_exitcode(status)))


def _wakeup_pipe() -> tuple[int, int]:
    """Return the two ends of a pipe to which Python's C signal handler writes, in any thread."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    return readable, writable


def _handle_signals(handler: Callable[[int, FrameType | None], None]) -> InheritedSignals:
    """Install *handler* for all signals, and unblock them; return the settings before that."""
    ignored = {each for each in signal.valid_signals() if signal.getsignal(each) is signal.SIG_IGN}
    for each in signal.valid_signals() - NOT_FORWARDED - ignored:
        signal.signal(each, handler)
    signal.signal(signal.SIGCHLD, handler)
    # This process still writes to the terminal when the command has it.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return InheritedSignals(frozenset(ignored - IGNORED_BY_PYTHON), frozenset(blocked))


def _adopt_orphans() -> None:
    """Become a subreaper: orphaned descendants become children of this process, as of PID 1."""
    if sys.platform == "linux":
        import ctypes  # not needed elsewhere

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def _changed_children() -> Iterator[tuple[int, int]]:
    """Yield the process ID and wait status of each child that has exited or stopped."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:
            return  # no children
        if not pid:
            return
        yield pid, status
