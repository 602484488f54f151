"""
Wait for an order, and become the command in it.

    python become.py ORDER ANSWER PARENT

This script is the launcher: a process of its own, with one thread, that starts with all signals
blocked. Its parent's side is in `command`.

ORDER:  Descriptor to read the order from, as encoded by `command.encode`. If it closes without an
        order, the launcher exits.
ANSWER: Descriptor to which ``+`` is written when the launcher is ready. The exec of the command
        closes it; if the exec fails, the error's number is written before.
PARENT: Process ID of the parent. The launcher does not outlive it.
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
    """Return if there is no order; otherwise become the command, or write the error and exit."""
    _die_with_parent()
    os.setpgid(0, 0)
    os.set_inheritable(answer, False)  # noqa: FBT003 - positional-only
    with suppress(BrokenPipeError):  # the parent is gone, so no order comes either
        os.write(answer, b"+")
    with open(order, "rb") as file:
        fields = file.read().split(b"\0")
    # Without PR_SET_PDEATHSIG the parent may have died while it wrote: the order is incomplete.
    if len(fields) == 1 or os.getppid() != parent:
        return
    ignored, blocked, count, *words = fields
    arguments, variables = words[: int(count)], words[int(count) :]
    _ignore_only(_numbers(ignored))
    signal.pthread_sigmask(signal.SIG_SETMASK, _numbers(blocked))
    _execute(arguments, dict(each.split(b"=", 1) for each in variables), answer)


def _die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the parent's thread ends; it stays in force after exec."""
    if sys.platform == "linux":
        import ctypes  # not needed elsewhere

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


def _numbers(text: bytes) -> frozenset[int]:
    return frozenset(map(int, text.split()))


def _ignore_only(ignored: Iterable[int]) -> None:
    for each in signal.valid_signals() - UNCHANGEABLE:
        # Ignoring also discards pending stop signals. Such a signal would stop the launcher when it
        # is unblocked, before the exec, while the parent waits for the answer.
        if each in ignored or each in STOPS:
            signal.signal(each, signal.SIG_IGN)
        if each not in ignored:
            signal.signal(each, signal.SIG_DFL)


def _execute(arguments: list[bytes], environment: Mapping[bytes, bytes], answer: int) -> None:
    try:
        os.execvpe(arguments[0], arguments, environment)  # noqa: S606 - a shell is not wanted
    except OSError as exc:
        os.write(answer, b"%d" % (exc.errno or errno.EIO))
    except ValueError:  # a variable with an empty name
        os.write(answer, b"%d" % errno.EINVAL)
    os._exit(127)  # the parent uses the answer, not this code


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
