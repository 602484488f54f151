"""The controlling terminal: which process group is in its foreground, and stopping by Ctrl-Z."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

__all__ = ["hand_over", "is_ours", "stop_job", "take_back"]


def hand_over(group: int) -> None:
    """Give the terminal to *group*, if this process's group has it."""
    _move(os.getpgrp(), group)


def take_back(group: int) -> bool:
    """Take the terminal from *group*, if that has it; return whether it had."""
    return _move(group, os.getpgrp())


def is_ours() -> bool:
    """Return whether there is a terminal and this process's group has it."""
    return _move(os.getpgrp(), os.getpgrp())


def stop_job() -> None:
    """
    Stop as Ctrl-Z stops a process without a handler; return when this process is continued.

    The shell waits until the whole job has stopped, so the whole process group gets the signal.
    This process ignores that one, and then raises the signal in this thread, so that nothing below
    runs before the stop. The kernel does not stop processes that nothing could continue (no shell,
    or PID 1); then this returns at once.
    """
    before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    os.kill(0, signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, before)


def _move(owner: int, new_owner: int) -> bool:
    # /dev/tty, not stdin, stdout or stderr: any of those may be a file while another is a terminal.
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return False  # no terminal
    try:
        if os.tcgetpgrp(terminal) != owner:
            return False
        with suppress(OSError):  # the new owner has exited
            os.tcsetpgrp(terminal, new_owner)
    except OSError:
        return False  # the terminal was closed
    finally:
        os.close(terminal)
    return True
