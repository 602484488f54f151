"""
Wait for an order, and become the command it names.

    python become.py ORDER ANSWER PARENT

A script of its own, in a process of its own that blocks every signal and in which nothing but this
runs. While it waits it is called a launcher; `launcher` is the other side.

ORDER:  A descriptor to read the order from, whose form is `launcher.encode`'s. Without one the
        launcher is not needed any more.
ANSWER: A descriptor that gets ``+`` when the order is expected. It is closed when the command has
        begun; before that comes the error's number, if it could not.
PARENT: The process id of who gives the order. A launcher does not outlive it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress

__all__ = ["main"]

PR_SET_PDEATHSIG = 1
UNCHANGEABLE = {signal.SIGKILL, signal.SIGSTOP}
STOPS = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}


def main(order: int, answer: int, parent: int) -> None:
    """Return without an order; else end as the command, or having said why not."""
    _die_with_parent()
    os.setpgid(0, 0)
    os.set_inheritable(answer, False)  # noqa: FBT003 - it has no name
    with suppress(BrokenPipeError):  # then there is no order, either
        os.write(answer, b"+")
    with open(order, "rb") as file:
        fields = file.read().split(b"\0")
    # Where the kernel lets us outlive our parent, this may be half an order.
    if len(fields) == 1 or os.getppid() != parent:
        return
    ignored, blocked, count, *words = fields
    arguments, variables = words[: int(count)], words[int(count) :]
    _ignore_only(_numbers(ignored))
    signal.pthread_sigmask(signal.SIG_SETMASK, _numbers(blocked))
    _execute(arguments, dict(each.split(b"=", 1) for each in variables), answer)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        import ctypes  # not needed elsewhere

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


def _numbers(text: bytes) -> frozenset[int]:
    return frozenset(map(int, text.split()))


def _ignore_only(ignored: Iterable[int]) -> None:
    for each in signal.valid_signals() - UNCHANGEABLE:
        # Ignoring also forgets a stop that has come already: it would stop us instead of the
        # command, while our parent waits for the answer.
        if each in ignored or each in STOPS:
            signal.signal(each, signal.SIG_IGN)
        if each not in ignored:
            signal.signal(each, signal.SIG_DFL)


def _execute(arguments: list[bytes], environment: Mapping[bytes, bytes], answer: int) -> None:
    try:
        os.execvpe(arguments[0], arguments, environment)  # noqa: S606 - a shell is not wanted
    except OSError as exc:
        os.write(answer, b"%d" % (exc.errno or errno.EIO))
    except ValueError:  # a variable without a name
        os.write(answer, b"%d" % errno.EINVAL)
    os._exit(127)  # nobody asks: the answer says more


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
