"""What hears the signals and reaps the children of this process, in its owner's loop."""

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

from .command import Command
from .launcher import Inheritance, Launcher

__all__ = ["Event", "Exited", "Signalled", "Supervisor"]

PR_SET_CHILD_SUBREAPER = 36

IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}  # it has errors instead

NOT_FORWARDED = IGNORED_BY_PYTHON | {
    *(signal.SIGKILL, signal.SIGSTOP),  # can't be heard
    *(signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU),  # are about us
    *(signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL),  # are mistakes of ours
    *(signal.SIGSEGV, signal.SIGSYS, signal.SIGTRAP),
}

LONGEST_SLEEP = 3600.0  # seconds: `poll` takes no more than some weeks


class Signalled(NamedTuple):
    """Somebody has sent us a signal."""

    number: int


class Exited(NamedTuple):
    """A command has ended."""

    command: Command

    status: int
    """Its exit code; below 0, the number of the signal that ended it."""

    @property
    def exit_code(self) -> int:
        """As a shell has it: 128 + n for signal n."""
        return 128 - self.status if self.status < 0 else self.status


Event: TypeAlias = Signalled | Exited


class Supervisor:
    """
    The one in this process who hears signals and reaps children, until the process ends.

    Everything but `wake` is for the main thread, which is also whose life the kernel ties the
    commands to. What whoever started us has ignored stays ignored, by us and by the commands.
    """

    def __init__(self) -> None:
        self._heard: deque[int] = deque()
        self._ended: deque[Exited] = deque()
        self._running: dict[int, Command] = {}
        self._woken = False
        self._readable, self._writable = _alarm()
        self._inheritance = _hear_signals(self._hear)
        if os.getpid() != 1:
            _adopt_orphans()

    def launcher(self, *, output: int | None = None, on_demand: bool = False) -> Launcher:
        """
        Return a process that waits to become a command.

        Args:
            output: A descriptor that becomes stdout and stderr of a command in the background,
                which has no stdin, no other descriptor and no claim to the terminal. Without it the
                command has ours, and all descriptors that we were started with.

            on_demand: As for `Command`, of one in the foreground.

        Raises:
            OSError: There can't be another process.
        """
        return Launcher(self._inheritance, output, self._begun, on_demand=on_demand)

    def wait(self, timeout: float | None = None) -> Event | None:
        """
        Return what has happened, signals before the ends of commands, or what happens next.

        Returns ``None`` after *timeout* seconds, or when somebody called `wake`.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            self._reap()
            if self._heard:
                return Signalled(self._heard.popleft())
            if self._ended:
                return self._ended.popleft()
            if self._woken or time.monotonic() >= deadline:
                self._woken = False
                return None
            self._sleep(deadline)

    def wake(self) -> None:
        """Make `wait` return, now or the next time. From any thread."""
        self._woken = True
        with suppress(BlockingIOError):  # it is full, and so awake
            os.write(self._writable, b"\0")

    def _begun(self, command: Command) -> None:
        self._running[command.pid] = command

    def _hear(self, number: int, _: FrameType | None) -> None:
        # Not by the bytes that the signals write into the pipe: a full one would lose some.
        if number != signal.SIGCHLD:
            self._heard.append(number)

    def _sleep(self, deadline: float) -> None:
        seconds = min(deadline - time.monotonic(), LONGEST_SLEEP)
        alarm = select.poll()  # `select.select` knows no descriptor above 1023
        alarm.register(self._readable, select.POLLIN)
        if alarm.poll(max(0, math.ceil(seconds * 1000))):
            os.read(self._readable, 65536)

    def _reap(self) -> None:
        for pid, status in _changed_children():
            command = self._running.get(pid)
            if command is None:
                continue  # an orphan, or a launcher without a command
            if os.WIFSTOPPED(status):
                command.follow_stop(os.WSTOPSIG(status))
            else:
                del self._running[pid]
                command.note_end()
                self._ended.append(Exited(command, os.waitstatus_to_exitcode(status)))


def _alarm() -> tuple[int, int]:
    """Return the two ends of a pipe that a signal writes to, whichever thread it interrupts."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    return readable, writable


def _hear_signals(hear: Callable[[int, FrameType | None], None]) -> Inheritance:
    """Let *hear* have the signals; return how they were treated before."""
    ignored = {each for each in signal.valid_signals() if signal.getsignal(each) is signal.SIG_IGN}
    for each in signal.valid_signals() - NOT_FORWARDED - ignored:
        signal.signal(each, hear)
    signal.signal(signal.SIGCHLD, hear)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # we still write to a terminal we gave away
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return Inheritance(frozenset(ignored - IGNORED_BY_PYTHON), frozenset(blocked))


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        import ctypes  # not needed elsewhere

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def _changed_children() -> Iterator[tuple[int, int]]:
    """Yield each child that has ended or stopped, as a process id and its status."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:
            return  # there are none
        if not pid:
            return
        yield pid, status
