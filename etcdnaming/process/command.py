"""A command that runs, with all the processes of its group."""

from __future__ import annotations

import os
import signal

from . import terminal

__all__ = ["Command"]


class Command:
    """
    A command in a process group of its own. `Launcher.run` makes one.

    Args:
        pid: Of its process, and of its group.

        foreground: Whether the terminal is for it.

        on_demand: The terminal stays with us until the command uses it: reads from it, or changes
            its settings. Until then the keys of the terminal signal us, not the command.
    """

    def __init__(self, pid: int, *, foreground: bool, on_demand: bool = False) -> None:
        self.pid = pid
        self._foreground = foreground
        self._wants_terminal = foreground and not on_demand
        self._has_ended = False

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

    def signal(self, number: int) -> bool:
        """
        Send a signal to its group, if a process is left there.

        SIGCONT also gives it the terminal, if that is ours again (a shell's ``fg``).
        Not for long after its end: the system uses the number again.

        Returns:
            Whether the system allowed it. It does not when all processes of the group have become
            another user's, and we lack CAP_KILL.
        """
        if number == signal.SIGCONT:
            self.enter_terminal()
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return True

    def kill(self) -> bool:
        """
        Kill its group: also right after its end, for what it left there.

        Returns:
            Whether the system allowed it for its own process: to allow it for one process of the
            group is enough for `signal`.
        """
        if not self.signal(signal.SIGKILL):
            return False
        if not self._has_ended:  # its number is not another's
            try:
                os.kill(self.pid, 0)
            except PermissionError:
                return False
        return True

    def follow_stop(self, number: int) -> None:
        """
        Do what the terminal's signal *number*, which stopped it, asks for.

        Give it the terminal, if it waits for that and the terminal is ours. Else stop us too: a
        shell watches only us.
        """
        if not self._foreground:
            return
        is_waiting = number in (signal.SIGTTIN, signal.SIGTTOU)
        if is_waiting and not self._wants_terminal and terminal.is_ours():
            self._wants_terminal = True
            self.signal(signal.SIGCONT)
        elif terminal.take_back(self.pid) or (not self._wants_terminal and terminal.is_ours()):
            terminal.stop_with_our_job()
            self.signal(signal.SIGCONT)
        elif is_waiting:
            # It waits for a terminal that is another's. A shell's "fg" continues us, and that is
            # a signal like any other.
            terminal.stop_with_our_job()

    def enter_terminal(self) -> None:
        """Give it the terminal, if that is ours."""
        if self._wants_terminal:
            terminal.hand_over(self.pid)

    def note_end(self) -> None:
        """Take the terminal back: its process has ended."""
        self._has_ended = True
        if self._foreground:
            terminal.take_back(self.pid)
