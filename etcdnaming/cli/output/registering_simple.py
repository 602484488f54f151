"""``lease-register -w simple``: etcdctl's words. All else is said on stderr."""

from __future__ import annotations

from collections.abc import Iterator

from .registering import StateChange
from .spelling import lease_id

__all__ = ["SimpleLines"]


class SimpleLines:
    """See `Lines`."""

    def changed(self, change: StateChange) -> Iterator[str]:
        """Yield what etcdctl says of leases."""
        if change.type == "granted":
            yield f"lease {lease_id(change.event.lease)} granted with TTL({change.event.ttl}s)\n"
        elif change.type == "revoked":
            yield f"lease {lease_id(change.event.lease)} revoked\n"

    def complete(self) -> Iterator[str]:
        """Yield what `add` says."""
        yield "OK\n"
