"""A command that runs, with all the processes of its group."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from . import terminal

__all__ = ["Command"]


class Command:
    """
    A command in a process group of its own. `Launcher.run` makes one.

    Args:
        pid: Of its process, and of its group.

        foreground: Whether the terminal is for it.
    """

    def __init__(self, pid: int, *, foreground: bool) -> None:
        self.pid = pid
        self._foreground = foreground

    @property
    def lives(self) -> bool:
        """Whether anybody is left in its group."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True  # somebody who has become another user
        return True

    def signal(self, number: int) -> None:
        """
        Send a signal to its group; nothing happens if nobody is left there.

        One that continues it also gives it the terminal, if that is ours again (a shell's ``fg``).
        Not for long after its end: the system uses the number again.

        Raises:
            PermissionError: All of the group have become users whom we may not signal.
        """
        if number == signal.SIGCONT:
            self.enter_terminal()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """
        Kill its group: also right after its end, for what it left there.

        Raises:
            PermissionError: As for `signal`.
        """
        self.signal(signal.SIGKILL)

    def follow_stop(self, number: int) -> None:
        """Stop us too, if the terminal's signal *number* stopped it: a shell watches only us."""
        if not self._foreground:
            return
        if terminal.take_back(self.pid):
            terminal.stop_with_our_job()
            self.signal(signal.SIGCONT)
        elif number in (signal.SIGTTIN, signal.SIGTTOU):
            # It waits for a terminal that is another's. A shell's "fg" continues us, and that is
            # a signal like any other.
            terminal.stop_with_our_job()

    def enter_terminal(self) -> None:
        """Give it the terminal, if that is ours."""
        if self._foreground:
            terminal.hand_over(self.pid)

    def leave_terminal(self) -> None:
        """Take the terminal back from what has ended."""
        if self._foreground:
            terminal.take_back(self.pid)
