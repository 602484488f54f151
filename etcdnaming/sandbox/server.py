"""Run a server that ends with this process: the owner's side of `keeper`."""

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

__all__ = ["HOST", "Server", "free_port", "last_message", "without"]

HOST = "127.0.0.1"
KEEPER = Path(__file__).with_name("keeper.py")

# Below the ports that Linux and macOS use for outgoing connections. So no connection takes one by
# chance, and a client that keeps dialing a dead server can't connect to itself.
PORTS = range(10_000, 32_768)


class Server:
    """
    A server that is killed however this process ends.

    Args:
        command: Program and arguments.

        directory: Its working directory, with its output in ``log``; removed with it.

    Raises:
        SandboxError: The server did not start.
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
                start_new_session=True,  # so that Ctrl-C does not reach it
            )
        self._output = cast("IO[bytes]", self._keeper.stdout)
        self.pid = int(self._output.readline() or 0)
        """Process ID of the server."""
        if not self.pid:
            self.close()
            raise SandboxError(f"{self._name} did not start: {self.last_message()}")

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
        Call *ready* until it returns true.

        Raises:
            SandboxError: The server has exited, or *timeout* seconds have passed.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if self._exits_within(0.005):
                raise SandboxError(f"{self._name} exited: {self.last_message()}")
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"{self._name} did not answer in {timeout:g}s: {self.last_message()}"
                )

    def wait(self, timeout: float) -> None:
        """Wait until the server has exited by itself or was killed. Its directory stays."""
        self._keeper.wait(timeout)
        self._keeper.communicate()  # closes the pipes

    def close(self) -> None:
        """Kill the server and remove its directory, unless it has exited before."""
        if not self._output.closed:
            self._keeper.communicate(b"end")

    def last_message(self) -> str:
        """Return the last message in its output."""
        return last_message(self._log.read_text("utf-8", "replace"))

    def _exits_within(self, seconds: float) -> bool:
        return bool(select.select([self._output], [], [], seconds)[0])


def last_message(log: str) -> str:
    """
    Return the message in the last line of *log*, which etcd wrote, or a traceback.

    >>> last_message('{"level":"fatal","msg":"discovery failed","error":"address in use"}')
    'discovery failed: address in use'
    >>> last_message("2026-11-23 15:30:43.940981 C | etcdmain: address in use")
    'etcdmain: address in use'
    """
    text = log.partition("\nUsage:")[0].strip()  # etcd prints its usage after an error in a flag
    line = text.splitlines()[-1] if text else "no output"
    try:
        entry = json.loads(line)
        return ": ".join(entry[name] for name in ("msg", "error") if name in entry)
    except (ValueError, TypeError):
        return line.rpartition(" | ")[2]


def free_port() -> int:
    """Return a free TCP port of 127.0.0.1, a different one each time."""
    while True:
        port = next(_ports)
        with socket.socket() as candidate:
            try:
                candidate.bind((HOST, port))
            except OSError:
                continue
        return port


def _shuffled_ports() -> Iterator[int]:
    """Yield all ports, each once before the first repeats, in a random order for each process."""
    yield from itertools.cycle(random.sample(PORTS, len(PORTS)))


_ports = _shuffled_ports()


def without(environment: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """Return *environment* without the variables whose names start with one of *prefixes*."""
    return {name: value for name, value in environment.items() if not name.startswith(prefixes)}


def _environment() -> dict[str, str]:
    # The caller's ETCD_* variables would configure the server, and with NOTIFY_SOCKET the server
    # would report to systemd that *this* service is ready. The xDS bootstrap is for gRPC in the
    # caller. Temporary data need no fsync; etcd 3.4 has no flag for that, but ignores the variable.
    inherited = without(os.environ, "ETCD_", "NOTIFY_SOCKET", "GRPC_XDS_BOOTSTRAP")
    return {**inherited, "ETCD_UNSAFE_NO_FSYNC": "true"}
