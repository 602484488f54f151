"""The servers of one test."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

__all__ = ["HasLog", "Servers", "end_of", "last_lines", "log_size"]


LINES = 20


@runtime_checkable
class HasLog(Protocol):
    """A server with a log, which is shown when a test fails."""

    def last_lines(self) -> str:
        """Return the end of its log."""


class _Server(HasLog, Protocol):
    def start(self) -> None: ...

    def close(self) -> None: ...


ServerT = TypeVar("ServerT", bound=_Server)


class Servers:
    """The servers of a test, stopped in reverse order at its end."""

    def __init__(self) -> None:
        self._started: list[_Server] = []

    def start(self, server: ServerT) -> ServerT:
        """Start *server*, stop it at the end, and return it."""
        self._started.append(server)
        server.start()
        return server

    def last_lines(self) -> str:
        """Return the end of the log of each server."""
        return "\n\n".join(server.last_lines() for server in self._started)

    def close(self) -> None:
        """Stop all servers."""
        while self._started:
            self._started.pop().close()


def log_size(directory: Path) -> int:
    """Return how many bytes the server with this directory has logged."""
    log = directory / "log"
    return log.stat().st_size if log.exists() else 0


def last_lines(directory: Path, start: int = 0) -> str:
    """Return the end of what the server with this directory has logged after *start* bytes."""
    log = directory / "log"
    return end_of(log.read_bytes()[start:].decode("utf-8", "replace")) if log.exists() else ""


def end_of(text: str) -> str:
    """Return the last lines of *text*, which are enough for a report."""
    return "\n".join(text.splitlines()[-LINES:])
