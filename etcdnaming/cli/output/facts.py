"""Facts as text for users: ``get``, ``check`` and ``status``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ...model import InvalidValue, LeaseTTL, StoredEndpoint
from ...printable import printable
from ...wire import dumps_again
from .printers import EndpointHealth, EtcdStatus
from .spelling import byte_size, escape, lease_id, safe_json

__all__ = ["STATUS", "endpoint_facts", "health_cells", "invalid_facts", "status_cells"]

Facts: TypeAlias = Sequence[tuple[str, str]]

STATUS = (
    *("ENDPOINT", "MEMBER", "VERSION", "ROLE", "REVISION", "RAFT TERM", "DB SIZE", "ALARMS"),
    *("LATENCY", "USER", "TLS", "EXPIRES", "REASON"),
)
"""The columns of ``status``. The last one is empty for an endpoint that answers."""


def endpoint_facts(stored: StoredEndpoint, ttl: LeaseTTL | None, fault: str) -> Facts:
    """Return names and values; the first is the key."""
    return [
        ("KEY", escape(stored.key)),
        ("ADDR", escape(stored.endpoint.addr)),
        ("METADATA", safe_json(dumps_again(stored.endpoint.metadata))),
        ("LEASE", lease_id(stored.lease) if stored.lease else "-"),
        ("TTL", _ttl(ttl)),
        ("CREATE REVISION", str(stored.create_revision)),
        ("MOD REVISION", str(stored.mod_revision)),
        ("VERSION", str(stored.version)),
        ("DIALABLE", f"no: {printable(fault)}" if fault else "yes"),
    ]


def invalid_facts(found: InvalidValue) -> Facts:
    """Return names and values of a key whose value can't be read."""
    return [
        ("KEY", escape(found.key)),
        ("NOT AN ENDPOINT", printable(found.reason)),
        ("VALUE", escape(found.value.decode("utf-8", "surrogateescape"))),
        ("LEASE", lease_id(found.lease) if found.lease else "-"),
        ("MOD REVISION", str(found.mod_revision)),
    ]


def health_cells(health: EndpointHealth) -> Sequence[str]:
    """Return key, address, status, latency and reason."""
    seconds = "-" if health.seconds is None else f"{1000 * health.seconds:.1f}ms"
    key, addr = escape(health.stored.key), escape(health.stored.endpoint.addr)
    return key, addr, health.status, seconds, printable(health.reason)


def status_cells(found: EtcdStatus) -> Sequence[str]:
    """Return the cells of `STATUS`; "-" is unknown or not there."""
    status = found.status
    if status is None:
        unknown = ["-"] * (len(STATUS) - 2)
        return [escape(found.endpoint), *unknown, printable(found.reason)]
    return [
        escape(found.endpoint),
        f"{status.header.member_id:x}",
        printable(status.version),
        status.role,
        str(status.header.revision),
        str(status.header.raft_term),
        byte_size(status.size),
        printable("; ".join(status.errors)) or "-",
        f"{1000 * status.seconds:.1f}ms",
        printable(status.user) or "-",
        status.tls or "-",
        status.expires or "-",
        "",
    ]


def _ttl(ttl: LeaseTTL | None) -> str:
    if ttl is None:
        return "-"
    return f"{ttl.remaining}s of {ttl.granted}s" if ttl.remaining >= 0 else "gone"
