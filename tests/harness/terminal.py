"""Run the program on a terminal of its own."""

from __future__ import annotations

import os
import warnings

import pexpect

from .cli import Word
from .environment import Changes, pointing_at
from .process import command
from .waiting import TIMEOUT

__all__ = ["Terminal"]

# pexpect forks, and a fork in a process with gRPC's threads usually crashes in gRPC's fork
# handlers. gRPC reads this variable when it is imported, which is later.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


class Terminal:
    """Start the program on a terminal, with *endpoints* as its default."""

    def __init__(self, endpoints: str) -> None:
        self._endpoints = endpoints
        self._opened: list[pexpect.spawn[str]] = []

    def __call__(
        self, *args: Word, env: Changes | None = None, size: tuple[int, int] = (24, 80)
    ) -> pexpect.spawn[str]:
        """Start ``etcdnaming ARGS`` on a terminal of *size* (lines, columns)."""
        program, *rest = command(*args)
        with warnings.catch_warnings():
            # A fork beside gRPC's threads is safe if the child only executes a program.
            warnings.simplefilter("ignore", DeprecationWarning)
            terminal = pexpect.spawn(
                program,
                rest,
                env=pointing_at(self._endpoints, env),
                dimensions=size,
                encoding="utf-8",
                timeout=TIMEOUT,
            )
        terminal.delaybeforesend = None  # its pause hides what is typed too early
        self._opened.append(terminal)
        return terminal

    def close(self) -> None:
        """Close the terminals, which sends SIGHUP."""
        for terminal in self._opened:
            terminal.close(force=True)
