"""
Signals that end this process: at once, and without a word.

Nothing here waits to be told about a Ctrl-C, so its action is the system's own. What would leave
something behind (a terminal without echo, a server) has itself unwound first.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["Unwind", "die_by", "unwinding"]


class Unwind(BaseException):
    """A signal, on its way out of the block that wanted to know."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


@contextmanager
def unwinding(*signums: int) -> Iterator[None]:
    """Let *signums* leave the block, which cleans up, before they end this process."""

    def unwind(signum: int, _: FrameType | None) -> NoReturn:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # a second one must not stop the cleaning up
        raise Unwind(signum)

    # What whoever started us has ignored (nohup, a shell's "&") stays ignored.
    wanted = [each for each in signums if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.getsignal(each) for each in wanted}
    try:
        for each in wanted:
            signal.signal(each, unwind)
        yield
    except Unwind as exc:
        die_by(exc.signum)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def die_by(signum: int) -> NoReturn:
    """End as if *signum* had never been handled: shells and init systems look at how we end."""
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)
    os._exit(128 + signum)  # it is blocked
