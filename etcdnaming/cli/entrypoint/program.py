"""The command that is wrapped."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence

from ..child import beginning
from ..child import environment as our_environment
from .loop import Loop, signal_name

__all__ = ["Program", "environment"]


ANOTHER_USER = "it runs as another user"

OF_SYSTEMD = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}
"""Variables by which systemd asks us, and not the command, to answer: `Readiness` does."""


def environment() -> Mapping[str, str]:
    """Return the environment for a command: ours, but for what only we answer."""
    return {name: value for name, value in our_environment().items() if name not in OF_SYSTEMD}


class Program:
    """
    Runs *cmd* in the foreground; *ended* is called when it has ended, *warn* with what is odd.

    With *on_demand*, the keys of the terminal signal us until *cmd* uses the terminal.

    Raises:
        CommandNotFoundError, CommandNotRunError: It did not begin.
    """

    def __init__(
        self,
        loop: Loop,
        cmd: Sequence[str],
        ended: Callable[[], None],
        warn: Callable[[str], None],
        *,
        on_demand: bool,
    ) -> None:
        self.exit_code: int | None = None
        """As a shell has it, when it has ended or is given up."""
        self._is_given_up = False
        self._ended, self._warn = ended, warn
        with beginning(cmd[0]):
            self._command = loop.launch(cmd, environment(), self._end, on_demand=on_demand)

    @property
    def is_gone(self) -> bool:
        """Whether it has ended, and all that was left of its process group; or is given up."""
        return self._is_given_up or (self.exit_code is not None and not self._command.lives)

    def signal(self, number: int) -> None:
        """Send a signal to its process group."""
        if not self._command.signal(number):
            self._warn(f"{signal_name(number)} can't be sent: {ANOTHER_USER}")

    def kill(self) -> None:
        """Kill its process group; if the system does not allow that, give the command up."""
        if not self._command.kill() and self.exit_code is None:
            self._is_given_up = True
            # As if it had been killed: where we are PID 1, our end does that.
            self.exit_code = 128 + signal.SIGKILL
            self._warn(f"the command can't be killed: {ANOTHER_USER}; not waiting for its end")

    def _end(self, exit_code: int) -> None:
        self.exit_code = exit_code
        self._ended()
