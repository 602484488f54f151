"""The commands that ``lease-register`` runs: CMD, and those of ``--check exec:CMD``."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ..child import environment, start_errors
from .loop import Loop, signal_name, start_thread

__all__ = ["BackgroundCommand", "ForegroundCommand"]

ANOTHER_USER = "it runs as another user"

SYSTEMD_VARIABLES = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}
"""Variables that ask this process, not the command, to notify systemd; `Readiness` does."""

MAX_OUTPUT = 500
"""Bytes kept from the end of a background command's output."""

OUTPUT_TIMEOUT = 0.2
"""Seconds to read the output after exit: a process that left the group may keep the pipe open."""


def _command_environment() -> Mapping[str, str]:
    return {name: value for name, value in environment().items() if name not in SYSTEMD_VARIABLES}


class ForegroundCommand:
    """
    Run *cmd* with this process's stdin, stdout, stderr and terminal, in its own process group.

    *exited* is called in the loop when its process has exited, *warn* with warnings. With
    *on_demand*, the terminal's Ctrl-C reaches this process until *cmd* uses the terminal.

    Raises:
        CommandNotFoundError, CommandNotRunError: It could not be started.
    """

    def __init__(
        self,
        loop: Loop,
        cmd: Sequence[str],
        exited: Callable[[], None],
        warn: Callable[[str], None],
        *,
        on_demand: bool,
    ) -> None:
        self.exit_code: int | None = None
        """``None`` while it runs; then its exit code, 128 + n for signal n."""
        self._is_abandoned = False
        self._exited, self._warn = exited, warn
        with start_errors(cmd[0]):
            self._command = loop.launch(
                cmd, _command_environment(), self._exit, on_demand=on_demand
            )

    @property
    def is_gone(self) -> bool:
        """Whether no process of its group is left, or it was abandoned."""
        return self._is_abandoned or (
            self.exit_code is not None and not self._command.has_processes
        )

    def signal(self, number: int) -> None:
        """Send a signal to its process group."""
        if not self._command.signal(number):
            self._warn(f"{signal_name(number)} can't be sent: {ANOTHER_USER}")

    def kill(self) -> None:
        """Kill its process group; if the system does not permit that, abandon the command."""
        if not self._command.kill() and self.exit_code is None:
            self._is_abandoned = True
            # The code of a killed command. If this process is PID 1, its exit kills the command.
            self.exit_code = 128 + signal.SIGKILL
            self._warn(f"the command can't be killed: {ANOTHER_USER}; not waiting for its end")

    def _exit(self, exit_code: int) -> None:
        self.exit_code = exit_code
        self._exited()


class BackgroundCommand:
    """
    Run *argv* in the background, and call *done* with a failure reason; empty for exit code 0.

    The reason is the exit code and the last line of output. All processes of its group are killed
    when it exits. Output is read through a pipe, since there may be no writable disk.

    Raises:
        OSError: It could not be started.
    """

    def __init__(self, loop: Loop, argv: Sequence[str], done: Callable[[str], None]) -> None:
        self._done = done
        self._output = _OutputTail()
        try:
            command = loop.launch(
                argv, _command_environment(), self._exit, output=self._output.writer
            )
        finally:
            os.close(self._output.writer)
        self._kill: Callable[[], object] | None = command.kill

    def stop(self) -> None:
        """Kill it if it still runs."""
        if self._kill is not None:
            self._kill()

    def _exit(self, exit_code: int) -> None:
        self.stop()  # kills the processes it left behind
        self._kill = None
        self._done(self._reason(exit_code) if exit_code else "")

    def _reason(self, exit_code: int) -> str:
        line = self._output.last_line()
        return f"exit code {exit_code}{line and ': '}{line}"


class _OutputTail:
    """Keep the end of what is written to the descriptor *writer*, which the caller closes."""

    def __init__(self) -> None:
        reader, self.writer = os.pipe()
        self._tail = b""
        try:
            self._thread = start_thread("check-output", partial(self._read, reader))
        except BlockingIOError:
            os.close(reader)
            os.close(self.writer)
            raise

    def last_line(self) -> str:
        """Return the last line that is not empty."""
        self._thread.join(OUTPUT_TIMEOUT)
        lines = self._tail.decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _read(self, reader: int) -> None:
        with open(reader, "rb", buffering=0) as file:
            while data := file.read(65536):
                self._tail = (self._tail + data)[-MAX_OUTPUT:]
