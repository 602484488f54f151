"""Many xDS clients in a process of their own: ``benchmarks/go/xds load``."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from types import TracebackType
from typing import IO, NamedTuple, cast

from .peers import go_program

__all__ = ["Received", "XdsClients"]


class Received(NamedTuple):
    """The *responses* with endpoints, and when the last one came, as in `time.monotonic_ns`."""

    at: int
    responses: int
    bytes: int


class XdsClients:
    """
    Clients of the server at *address*, each with a connection and a stream of its own.

    Args:
        services: The number of services there are, ``svc/0``, ``svc/1``, …

        names: The number of services that each client asks for, in turns.
    """

    def __init__(self, address: str, streams: int, services: int, names: int = 1) -> None:
        numbers = map(str, (streams, services, names))
        self._process = subprocess.Popen(
            [str(go_program("xds")), "load", address, *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._orders = cast("IO[str]", self._process.stdin)
        self._answers = cast("IO[str]", self._process.stdout)

    def connect(self) -> Received:
        """Open all streams at once; return what came when each has its endpoints."""
        return self._execute("connect", lambda: None)

    def expect(self, responses: int, cause: Callable[[], object]) -> Received:
        """Call *cause*, and return what came when that were so many *responses*, or more."""
        return self._execute(f"expect {responses}", cause)

    def _execute(self, line: str, cause: Callable[[], object]) -> Received:
        self._orders.write(f"{line}\n")
        self._answers.readline()  # it is ready
        cause()
        return Received(*map(int, self._answers.readline().split()))

    def __enter__(self) -> XdsClients:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
