"""
Signals that end this process: at once, and without a word.

Nothing here waits to be told about a Ctrl-C, so its action is the system's own. What would leave
something behind (a terminal without echo, a server) has itself unwound, or cleans up, first.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["ENDING", "PULSE", "die_by", "ending", "unwinding"]

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""What a person or a system sends to end a program that cleans up."""

PULSE = 0.2
"""
Seconds that the main thread may wait without a look at what has come.

Python notes a signal and handles it when its main thread runs again. One that comes just before
that thread begins to wait does not wake it: on a busy machine, a whole time slice before.
"""

PATIENCE = 5
"""Seconds to clean up; a terminal that takes nothing would keep us for ever."""


class _Unwind(BaseException):
    """A signal, on its way out of the block that wanted to know."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


@contextmanager
def unwinding(*signums: int) -> Iterator[None]:
    """Let *signums* leave the block, which cleans up, before they end this process."""

    def unwind(signum: int) -> NoReturn:
        raise _Unwind(signum)

    try:
        with _handled_once(unwind, signums):
            yield
    except _Unwind as exc:
        die_by(exc.signum)


@contextmanager
def ending(clean: Callable[[int], None], *signums: int) -> Iterator[None]:
    """
    Let each of *signums* end this process right where it is, after *clean* was told which it is.

    For blocks that take long, with threads and much that is imported: an exception from a handler
    is lost in whatever callback it happens to interrupt. *clean* must take no lock, other than one
    that can be taken twice, that the main thread may hold.
    """

    def end(signum: int) -> NoReturn:
        signal.alarm(PATIENCE)
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
            signal.signal(each, signal.SIG_IGN)  # a second one must not stop the cleaning up
        handle(signum)

    # What whoever started us has ignored (nohup, a shell's "&") stays ignored.
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
    """End as if *signum* had never been handled: shells and init systems look at how we end."""
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)
    os._exit(128 + signum)  # it is blocked
