"""
End this process when a signal comes, after cleaning up, and without a message.

A signal keeps its default action unless something must be cleaned up first: a terminal without
echo, a sandbox's server.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["ENDING", "PULSE", "die_by", "ending", "pulsing", "unwinding"]

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""The signals that users and service managers send to end a program that cleans up."""

PULSE = 0.2
"""
The longest time in seconds that the main thread waits without running Python code.

Python's handler runs when the main thread executes Python code again. A signal that arrives just
before that thread starts to wait does not interrupt the wait.
"""

CLEANUP_TIMEOUT = 5
"""Seconds for cleaning up; a terminal that accepts no output would block it for ever."""


class _Unwind(BaseException):
    """A signal, raised through the block that must clean up."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


@contextmanager
def unwinding(*signums: int) -> Iterator[None]:
    """On each of *signums* leave the block by an exception, then end this process by the signal."""

    def unwind(signum: int) -> NoReturn:
        raise _Unwind(signum)

    try:
        with _handled_once(unwind, signums):
            yield
    except _Unwind as exc:
        die_by(exc.signum)


@contextmanager
def pulsing() -> Iterator[None]:
    """
    Interrupt what the main thread waits for in the block every `PULSE` seconds.

    For system calls that wait without end: see `PULSE`. They go on afterwards.
    """
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, PULSE, PULSE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def ending(clean: Callable[[int], None], *signums: int) -> Iterator[None]:
    """
    On each of *signums* call *clean* with its number, then end this process, all in the handler.

    This is for blocks with threads and many callbacks: an exception from a handler would be lost in
    whatever callback it interrupts. *clean* runs while the main thread is interrupted anywhere, so
    it must not take a lock that the main thread may hold, unless that lock is reentrant.
    """

    def end(signum: int) -> NoReturn:
        signal.alarm(CLEANUP_TIMEOUT)
        try:
            clean(signum)
        finally:
            die_by(signum)

    with _handled_once(end, signums):
        yield


@contextmanager
def _handled_once(handle: Callable[[int], NoReturn], signums: tuple[int, ...]) -> Iterator[None]:
    def handle_first(signum: int, _: FrameType | None) -> NoReturn:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
        handle(signum)

    # A signal that was ignored at the start (by nohup, or a shell's "&") stays ignored.
    wanted = [each for each in signums if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.getsignal(each) for each in wanted}
    try:
        for each in wanted:
            signal.signal(each, handle_first)
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def die_by(signum: int) -> NoReturn:
    """End by *signum* with its default action: shells and init systems look at the wait status."""
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)
    os._exit(128 + signum)  # the signal is blocked
