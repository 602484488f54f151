"""What is known about one endpoint, as text for users: ``get`` and ``check``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ...model import InvalidValue, LeaseTTL, StoredEndpoint
from ...printable import printable
from ...wire import dumps_again
from .printers import EndpointHealth, EtcdStatus
from .spelling import byte_size, escape, lease_id, safe_json

__all__ = ["endpoint_facts", "health_cells", "invalid_facts", "status_facts"]

Facts: TypeAlias = Sequence[tuple[str, str]]


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


def status_facts(found: EtcdStatus) -> Facts:
    """Return names and values; the first is the endpoint, and "-" is unknown or not there."""
    status = found.status
    if status is None:
        return [("ENDPOINT", escape(found.endpoint)), ("UNREACHABLE", printable(found.reason))]
    return [
        ("ENDPOINT", escape(found.endpoint)),
        ("MEMBER", f"{status.header.member_id:x}"),
        ("VERSION", printable(status.version)),
        ("ROLE", status.role),
        ("REVISION", str(status.header.revision)),
        ("RAFT TERM", str(status.header.raft_term)),
        ("DB SIZE", byte_size(status.size)),
        ("ALARMS", printable("; ".join(status.errors)) or "-"),
        ("LATENCY", f"{1000 * status.seconds:.1f}ms"),
        ("USER", printable(status.user) or "-"),
        ("TLS", status.tls or "-"),
        ("EXPIRES", status.expires or "-"),
    ]


def _ttl(ttl: LeaseTTL | None) -> str:
    if ttl is None:
        return "-"
    return f"{ttl.remaining}s of {ttl.granted}s" if ttl.remaining >= 0 else "gone"
