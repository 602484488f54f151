"""Wait for what can't be waited for in a better way."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

__all__ = ["TIMEOUT", "listens", "wait_until"]

TIMEOUT = 30.0  # seconds, for a server on a machine that does other things as well


def wait_until(predicate: Callable[[], object], timeout: float = 10) -> None:
    """Return as soon as *predicate* is true; fail the test after *timeout* seconds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"still not true after {timeout:g} s: {predicate}"
        time.sleep(0.01)


def listens(endpoint: str) -> bool:
    """Return whether anybody listens on *endpoint*, ``HOST:PORT``."""
    host, _, port = endpoint.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
