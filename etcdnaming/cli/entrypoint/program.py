"""The command that is wrapped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence

from ..child import beginning
from .loop import Loop, signal_name

__all__ = ["Program", "environment"]


def environment() -> Mapping[str, str]:
    """Return ours without what is about us: who speaks to systemd here is not the command."""
    return {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}


class Program:
    """
    Runs *cmd* in the foreground; *ended* is called when it has ended, *warn* with what is odd.

    Raises:
        CommandNotFoundError, CommandNotRunError: It did not begin.
    """

    def __init__(
        self,
        loop: Loop,
        cmd: Sequence[str],
        ended: Callable[[], None],
        warn: Callable[[str], None],
    ) -> None:
        self.exit_code: int | None = None
        """As a shell has it, when it has ended."""
        self._ended, self._warn = ended, warn
        with beginning(cmd[0]):
            self._command = loop.launch(cmd, environment(), self._end)

    @property
    def is_gone(self) -> bool:
        """Whether it has ended, and all that was left of its process group."""
        return self.exit_code is not None and not self._command.lives

    def signal(self, number: int) -> None:
        """Send a signal to its process group."""
        try:
            self._command.signal(number)
        except PermissionError:
            self._warn(f"{signal_name(number)} can't be sent: the command is another user's now")

    def kill(self) -> None:
        """Kill its process group."""
        self.signal(signal.SIGKILL)

    def _end(self, exit_code: int) -> None:
        self.exit_code = exit_code
        self._ended()
