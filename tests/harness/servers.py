"""The servers that a test has for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

__all__ = ["HasLog", "Servers", "last_lines"]


LINES = 20


@runtime_checkable
class HasLog(Protocol):
    """What has something to say when a test fails."""

    def last_lines(self) -> str:
        """Return what it said last."""


class _Server(HasLog, Protocol):
    def start(self) -> None: ...

    def close(self) -> None: ...


ServerT = TypeVar("ServerT", bound=_Server)


class Servers:
    """They are ended in reverse order, with the test."""

    def __init__(self) -> None:
        self._started: list[_Server] = []

    def start(self, server: ServerT) -> ServerT:
        """Start *server*, which is ours from now on, and return it."""
        self._started.append(server)
        server.start()
        return server

    def last_lines(self) -> str:
        """Return what each of them said last."""
        return "\n\n".join(server.last_lines() for server in self._started)

    def close(self) -> None:
        """End them all."""
        while self._started:
            self._started.pop().close()


def last_lines(directory: Path) -> str:
    """Return what the server with this directory said last."""
    log = directory / "log"
    return (
        "\n".join(log.read_text("utf-8", "replace").splitlines()[-LINES:]) if log.exists() else ""
    )
