"""The program on a terminal of its own."""

from __future__ import annotations

import os
import warnings

import pexpect

from .cli import Word
from .environment import Changes, pointing_at
from .process import command
from .waiting import TIMEOUT

__all__ = ["Terminal"]

# Terminals are forked, and a fork beside gRPC's threads crashes in gRPC's own handlers more often
# than not. It looks at this once, when it is imported, which is after this.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


class Terminal:
    """Starts the program on a terminal; it asks *endpoints* unless told otherwise."""

    def __init__(self, endpoints: str) -> None:
        self._endpoints = endpoints
        self._opened: list[pexpect.spawn[str]] = []

    def __call__(
        self, *args: Word, env: Changes | None = None, size: tuple[int, int] = (24, 80)
    ) -> pexpect.spawn[str]:
        """Start ``etcdnaming ARGS`` on a terminal of *size* (lines, columns)."""
        program, *rest = command(*args)
        with warnings.catch_warnings():
            # Forking beside grpc's threads is safe when the child does nothing but exec.
            warnings.simplefilter("ignore", DeprecationWarning)
            terminal = pexpect.spawn(
                program,
                rest,
                env=pointing_at(self._endpoints, env),
                dimensions=size,
                encoding="utf-8",
                timeout=TIMEOUT,
            )
        self._opened.append(terminal)
        return terminal

    def close(self) -> None:
        """Hang up."""
        for terminal in self._opened:
            terminal.close(force=True)
