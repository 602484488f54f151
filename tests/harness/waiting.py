"""Wait for conditions that have no event."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

__all__ = ["AT_ONCE", "TIMEOUT", "listens", "wait_until"]

TIMEOUT = 25.0
"""
Seconds to wait for anything that has to happen, on a machine that is busy with other things.

Shorter than the 30 s after which a client asks etcd again for what no stream has delivered: a test
that waits for a stream must not be saved by that.
"""

AT_ONCE = 5.0
"""
Seconds that something immediate may take on a busy machine; alone it takes less than a tenth.

What the test rules out has to take longer: give the client or the command long timeouts.
"""


def wait_until(predicate: Callable[[], object], timeout: float = TIMEOUT) -> None:
    """Return as soon as *predicate* is true; fail the test after *timeout* seconds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"still not true after {timeout:g} s: {predicate}"
        time.sleep(0.01)


def listens(endpoint: str) -> bool:
    """Return whether a server listens on *endpoint*, ``HOST:PORT``."""
    host, _, port = endpoint.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
