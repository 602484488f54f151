"""Ports for servers that may be away for a while, and have to find theirs free when they return."""

from __future__ import annotations

import os

from etcdnaming.sandbox import free_port as _free_port

__all__ = ["free_port"]

# Of pytest-xdist, which sets neither if there is one process only. A worker that replaces a dead
# one has a number beyond the count.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS


def free_port() -> int:
    """Return an unused port of 127.0.0.1, which no other worker of this run is given."""
    while (port := _free_port()) % WORKERS != WORKER:
        pass
    return port
