"""Ports for servers that stop for a while and need the same port when they start again."""

from __future__ import annotations

import os

from etcdnaming.sandbox import free_port as _free_port

__all__ = ["free_port"]

# Set by pytest-xdist if there are several processes. The number of a worker that replaces a dead
# one exceeds the count.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS


def free_port() -> int:
    """Return an unused port of 127.0.0.1 that no other worker of this run gets."""
    while (port := _free_port()) % WORKERS != WORKER:
        pass
    return port
