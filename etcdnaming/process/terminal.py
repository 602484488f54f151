"""The controlling terminal: which process group has it, and what a Ctrl-Z there does to us."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

__all__ = ["hand_over", "is_ours", "stop_with_our_job", "take_back"]


def hand_over(group: int) -> None:
    """Give the terminal to *group*, if there is one and it is ours."""
    _move(os.getpgrp(), group)


def take_back(group: int) -> bool:
    """Take the terminal from *group*, if it has it; return whether it had."""
    return _move(group, os.getpgrp())


def is_ours() -> bool:
    """Return whether there is a terminal, and our process group has it."""
    return _move(os.getpgrp(), os.getpgrp())


def stop_with_our_job() -> None:
    """
    Stop as a Ctrl-Z stops a process that does not handle it, and return when we are continued.

    The shell waits until the whole job has stopped, so all of our process group is told. Where
    nobody could continue us (no shell, PID 1) the kernel does not stop us.
    """
    before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    os.kill(0, signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTSTP)  # in this thread: nothing below happens before the stop
    signal.signal(signal.SIGTSTP, before)


def _move(owner: int, heir: int) -> bool:
    # Not one of 0, 1, 2: each of them may be a file while another is the terminal.
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return False  # there is none
    try:
        if os.tcgetpgrp(terminal) != owner:
            return False
        with suppress(OSError):  # the heir has ended
            os.tcsetpgrp(terminal, heir)
    except OSError:
        return False  # it was hung up
    finally:
        os.close(terminal)
    return True
