"""A running command and the processes of its group."""

from __future__ import annotations

import os
import signal

from . import terminal

__all__ = ["Command"]


class Command:
    """
    A command in a process group of its own, created by `Launcher.run`.

    Args:
        pid: ID of its process and its group.

        foreground: Whether it may have the terminal.

        on_demand: This process keeps the terminal until the command reads from it or changes its
            settings. Until then Ctrl-C signals this process, not the command.
    """

    def __init__(self, pid: int, *, foreground: bool, on_demand: bool = False) -> None:
        self.pid = pid
        self._foreground = foreground
        self._wants_terminal = foreground and not on_demand
        self._has_ended = False

    @property
    def has_processes(self) -> bool:
        """Whether a process of its group is left."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True  # a process that changed its user
        return True

    def signal(self, number: int) -> bool:
        """
        Send a signal to its group, if a process is left there.

        SIGCONT also gives it the terminal, if this process has that again (a shell's ``fg``).
        Must not be called long after its end: the system reuses the number.

        Returns:
            Whether the system permitted it. It does not if all processes of the group run as
            another user and this process lacks CAP_KILL.
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
        Send SIGKILL to its group, also right after its end, for the processes it left behind.

        Returns:
            Whether the system permitted it for the command's own process. (For `signal`, one
            permitted process of the group is enough.)
        """
        if not self.signal(signal.SIGKILL):
            return False
        if not self._has_ended:  # afterwards the number may belong to another process
            try:
                os.kill(self.pid, 0)
            except PermissionError:
                return False
        return True

    def follow_stop(self, number: int) -> None:
        """
        React to the terminal's signal *number*, which stopped the command.

        SIGTTIN and SIGTTOU mean that it used a terminal it does not have: give it the terminal if
        this process has it. Otherwise stop this process too, because the shell that waits for the
        job watches only this one, and continue the command when the shell continues this one.
        """
        if not self._foreground:
            return
        is_waiting = number in (signal.SIGTTIN, signal.SIGTTOU)
        if is_waiting and not self._wants_terminal and terminal.is_ours():
            self._wants_terminal = True
            self.signal(signal.SIGCONT)
        elif terminal.take_back(self.pid) or (not self._wants_terminal and terminal.is_ours()):
            terminal.stop_job()
            self.signal(signal.SIGCONT)
        elif is_waiting:
            # Another job has the terminal. A shell's "fg" sends SIGCONT to this process, which the
            # caller's loop passes to `signal` as any other.
            terminal.stop_job()

    def enter_terminal(self) -> None:
        """Give it the terminal, if this process has it."""
        if self._wants_terminal:
            terminal.hand_over(self.pid)

    def note_end(self) -> None:
        """Take the terminal back after its process has exited."""
        self._has_ended = True
        if self._foreground:
            terminal.take_back(self.pid)
