"""A client in a separate process that executes commands when it is its turn."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import IO, NamedTuple, cast

__all__ = ["PeerProcess", "Took"]


class Took(NamedTuple):
    """The duration and the CPU time of the work on *number* endpoints, in seconds."""

    number: int
    seconds: float
    cpu: float


class PeerProcess:
    """
    A running client: Go's ``manager`` or one of ``benchmarks/peer_programs``.

    Args:
        command: A program that reads commands from stdin, and answers each with three numbers.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._orders = cast("IO[str]", self._process.stdin)
        self._answers = cast("IO[str]", self._process.stdout)

    def __call__(self, line: str) -> Took:
        """Let the client execute the command *line*."""
        self._orders.write(f"{line}\n")
        answer = self._answers.readline()
        if not answer:
            raise ChildProcessError(f"{self._process.args!r} has ended")
        number, seconds, cpu = map(int, answer.split())
        return Took(number, seconds / 1e9, cpu / 1e9)

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()
