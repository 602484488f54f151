"""Start a server that ends with its owner: the owner's side of `keeper`."""

from __future__ import annotations

import itertools
import json
import os
import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, cast

from ..errors import SandboxError

__all__ = ["HOST", "Server", "free_port", "last_words", "without"]

HOST = "127.0.0.1"
KEEPER = Path(__file__).with_name("keeper.py")

# Below those that Linux and macOS give to outgoing connections: nobody gets one of these by
# chance, and a client that keeps dialling a dead server can't end up connected to itself.
PORTS = range(10_000, 32_768)


class Server:
    """
    A server process of this process, which does not outlive it, however this process ends.

    Args:
        command: Program and arguments.

        directory: Its own, removed with it: the working directory, with its output in ``log``.

    Raises:
        SandboxError: It could not be started.
    """

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        self._name = Path(command[0]).name
        self._log = directory / "log"
        with self._log.open("ab") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", KEEPER, directory, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=directory,
                env=_environment(),
                start_new_session=True,  # out of reach of the terminal's Ctrl-C
            )
        self._output = cast("IO[bytes]", self._keeper.stdout)
        self.pid = int(self._output.readline() or 0)
        """Of the server itself."""
        if not self.pid:
            self.close()
            raise SandboxError(f"{self._name} did not start: {self.last_words()}")

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> None:
        """
        Return when *ready* returns true, which is asked again and again.

        Raises:
            SandboxError: The server has ended, or *timeout* seconds have passed.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if self._has_ended_within(0.005):
                raise SandboxError(f"{self._name} ended: {self.last_words()}")
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"{self._name} did not answer in {timeout:g} s: {self.last_words()}"
                )

    def wait(self, timeout: float) -> None:
        """Wait until the server, which somebody else ended, has done so. Its directory stays."""
        self._keeper.wait(timeout)
        self._keeper.communicate()  # nobody is there: closes our ends

    def close(self) -> None:
        """Kill the server and remove its directory, unless it has ended before."""
        if not self._output.closed:
            self._keeper.communicate(b"end")

    def last_words(self) -> str:
        """Return what its output ends with."""
        return last_words(self._log.read_text("utf-8", "replace"))

    def _has_ended_within(self, seconds: float) -> bool:
        return bool(select.select([self._output], [], [], seconds)[0])


def last_words(log: str) -> str:
    """
    Return what is said by the last line of *log*, which is etcd's or a traceback.

    >>> last_words('{"level":"fatal","msg":"discovery failed","error":"address in use"}')
    'discovery failed: address in use'
    >>> last_words("2026-11-23 15:30:43.940981 C | etcdmain: address in use")
    'etcdmain: address in use'
    """
    said = log.partition("\nUsage:")[0].strip()  # follows the complaint about a flag
    line = said.splitlines()[-1] if said else "it said nothing"
    try:
        entry = json.loads(line)
        return ": ".join(entry[name] for name in ("msg", "error") if name in entry)
    except (ValueError, TypeError):
        return line.rpartition(" | ")[2]


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nobody listens now; another one each time."""
    while True:
        port = next(_ports)
        with socket.socket() as candidate:
            try:
                candidate.bind((HOST, port))
            except OSError:
                continue
        return port


def _deal() -> Iterator[int]:
    """Yield the ports in an order of this process's own: a server must not get one port twice."""
    yield from itertools.cycle(random.sample(PORTS, len(PORTS)))


_ports = _deal()


def without(environment: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """Return *environment* less the variables whose names start with one of *prefixes*."""
    return {name: value for name, value in environment.items() if not name.startswith(prefixes)}


def _environment() -> dict[str, str]:
    # Our caller's ETCD_* would configure the server, which would also tell systemd that *we* are
    # ready. What is thrown away need not be safe on the disk; etcd 3.4 has no such flag, and passes
    # over the variable.
    return {**without(os.environ, "ETCD_", "NOTIFY_SOCKET"), "ETCD_UNSAFE_NO_FSYNC": "true"}
