"""A command in the background that says, in the end, whether all is well."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence

from .loop import Loop
from .program import environment

__all__ = ["Errand"]

LAST_WORDS = 500
"""Bytes of what it prints that are looked at."""

LAST_READ = 0.2
"""Seconds for them to be read when it has ended: who has left its group may hold its output."""


class Errand:
    """
    Runs *argv* and calls *done* with what is wrong: its exit code, and what it printed last.

    Nothing of its process group outlives it, and nothing of what it prints is kept on a disk, for
    there may be none.

    Raises:
        OSError: It did not begin.
    """

    def __init__(self, loop: Loop, argv: Sequence[str], done: Callable[[str], None]) -> None:
        self._done = done
        self._output = _LastWords()
        try:
            launched = loop.launch(argv, environment(), self._end, output=self._output.writer)
        finally:
            os.close(self._output.writer)
        self._kill: Callable[[], None] | None = launched.kill

    def stop(self) -> None:
        """Kill it, if it still runs."""
        if self._kill is not None:
            self._kill()

    def _end(self, exit_code: int) -> None:
        self.stop()  # those whom it has left behind
        self._kill = None
        self._done(self._trouble(exit_code) if exit_code else "")

    def _trouble(self, exit_code: int) -> str:
        words = self._output.line()
        return f"exit code {exit_code}{words and ': '}{words}"


class _LastWords:
    """The end of what is written to *writer*, which is for whoever made this to close."""

    def __init__(self) -> None:
        reader, self.writer = os.pipe()
        self._end = b""
        self._thread = threading.Thread(
            target=self._read, args=[reader], name="etcdnaming-errand", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError as exc:  # the process table is full
            os.close(reader)
            os.close(self.writer)
            raise OSError(errno.EAGAIN, str(exc)) from exc

    def line(self) -> str:
        """Return the last line that is not empty."""
        self._thread.join(LAST_READ)
        lines = self._end.decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _read(self, reader: int) -> None:
        with open(reader, "rb", buffering=0) as file:
            while data := file.read(65536):
                self._end = (self._end + data)[-LAST_WORDS:]
