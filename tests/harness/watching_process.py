"""A watch in a separate process, which can be stopped like a laptop whose lid is closed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from .process import Process
from .waiting import TIMEOUT, wait_until

__all__ = ["WatchingProcess"]

PROGRAM = Path(__file__).with_name("watch_and_print.py")


class WatchingProcess:
    """
    A process that follows ``svc`` at *endpoints*.

    It prints ``ADD svc/e1 1`` or ``DELETE svc/e1 1`` for a change, with `` resync`` after it for a
    resync, ``first`` after the first set, and ``connected`` or ``disconnected``.

    Args:
        idle: Seconds of silence after which it asks etcd.
    """

    def __init__(self, endpoints: str, *, idle: float = 30) -> None:
        command = [sys.executable, str(PROGRAM), endpoints, str(idle)]
        self._process = Process(command, os.environ)
        self._read = 0

    def __enter__(self) -> WatchingProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.close()

    def stop(self) -> None:
        """Stop the process with SIGSTOP."""
        self._process.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue the process."""
        self._process.signal(signal.SIGCONT)

    def reported_until(self, last: str, timeout: float = TIMEOUT) -> list[str]:
        """Return the new lines up to *last*, without states."""
        wait_until(lambda: last in self._lines()[self._read :], timeout)
        lines = self._lines()[self._read :]
        new = lines[: lines.index(last) + 1]
        self._read += len(new)
        return list(_without_states(new))

    def states_until(self, last: str, timeout: float = TIMEOUT) -> list[str]:
        """Return the new states up to *last*, which is one of them."""
        wait_until(lambda: last in self._lines()[self._read :], timeout)
        lines = self._lines()[self._read :]
        new = lines[: lines.index(last) + 1]
        self._read += len(new)
        return [line for line in new if line not in _without_states(new)]

    def _lines(self) -> list[str]:
        return self._process.out.split("\n")[:-1]


def _without_states(lines: Iterable[str]) -> Iterable[str]:
    return (line for line in lines if line not in {"connected", "disconnected"})
