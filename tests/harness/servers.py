"""The servers of one test."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

__all__ = ["HasLog", "Servers", "last_lines"]


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


def last_lines(directory: Path) -> str:
    """Return the end of the log of the server with this directory."""
    log = directory / "log"
    return (
        "\n".join(log.read_text("utf-8", "replace").splitlines()[-LINES:]) if log.exists() else ""
    )
