"""One command, started again and again, with something on its stdin."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

from ..child import start
from ..signals import PULSE

__all__ = ["Runner", "outcome"]


def outcome(status: int) -> str:
    """
    Return what an exit code says.

    >>> outcome(3), outcome(137)
    ('exit code 3', 'SIGKILL')
    """
    try:
        return signal.Signals(status - 128).name
    except ValueError:
        return f"exit code {status}"


class Runner:
    """Runs *command* for one thread; others may end it. `_lock` guards what is running."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = command[0]
        self._command, self._environment = command, environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False

    def run(self, variables: Mapping[str, str], document: bytes) -> int:
        """
        Run it to its end and return its exit code, which is 128 + n if signal n ended it.

        Raises:
            CommandNotFoundError, CommandNotRunError: It did not begin.
        """
        with self._lock:
            if self._is_over:
                return 0
            environment = {**self._environment, **variables}
            process = start(self._command, environment, stdin=subprocess.PIPE)
            self._process = process
        if process.stdin:
            with process.stdin:
                _feed(process, process.stdin.fileno(), document)
        process.wait()
        with self._lock:
            self._process = None
        return 128 - process.returncode if process.returncode < 0 else process.returncode

    def end(self) -> None:
        """Tell the command to end, and start none any more."""
        with self._lock:
            self._is_over = True
            if self._process:
                with suppress(PermissionError):  # it has become another user
                    self._process.terminate()


def _feed(process: subprocess.Popen[bytes], pipe: int, document: bytes) -> None:
    """
    Write *document* to *pipe*, the stdin of *process*, which need not read it.

    When the process has ended, what is left is dropped. A process that it has left behind may keep
    the pipe open for ever without reading, so no write may block.
    """
    os.set_blocking(pipe, False)
    writable = select.poll()
    writable.register(pipe, select.POLLOUT)
    left = memoryview(document)
    while left and process.poll() is None:
        if writable.poll(PULSE * 1000):
            try:
                left = left[os.write(pipe, left) :]
            except BrokenPipeError:  # it has closed its stdin
                return
