"""What several formats print alike: facts about changes, plans, endpoints and members of etcd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ...model import Change, Difference, Endpoint, InvalidValue, LeaseTTL, Plan, StoredEndpoint
from ...printable import printable
from ...wire import dumps_again, encode
from .printers import EndpointHealth, EtcdStatus
from .spelling import byte_size, escape, lease_id, safe_json

__all__ = [
    "STATUS",
    "counts",
    "difference_effect",
    "effect",
    "endpoint_facts",
    "event_type",
    "health_cells",
    "invalid_facts",
    "matters_to_clients",
    "status_cells",
    "subject",
]

Facts: TypeAlias = Sequence[tuple[str, str]]

STATUS = (
    *("ENDPOINT", "MEMBER", "VERSION", "ROLE", "REVISION", "RAFT TERM", "DB SIZE", "ALARMS"),
    *("LATENCY", "USER", "TLS", "EXPIRES", "REASON"),
)
"""The columns of ``status``. The last one is empty for an endpoint that answers."""


def event_type(change: Change) -> str:
    """Return ``PUT`` or ``DELETE``, as etcdctl prints it."""
    return "DELETE" if change.endpoint is None else "PUT"


def effect(change: Change) -> str:
    """Return ``added``, ``changed``, ``removed`` or ``renewed`` (only lease or revision differ)."""
    if change.endpoint is None:
        return "removed"
    if change.previous is None:
        return "added"
    return "changed" if matters_to_clients(change) else "renewed"


def difference_effect(difference: Difference) -> str:
    """Return ``added``, ``changed`` or ``removed``."""
    if difference.update.endpoint is None:
        return "removed"
    return "changed" if difference.before else "added"


def counts(plan: Plan) -> Mapping[str, int]:
    """Return how many endpoints of *plan* are ``added changed removed unchanged``."""
    effects = [*map(difference_effect, plan.differences)]
    found = {each: effects.count(each) for each in ("added", "changed", "removed")}
    return {**found, "unchanged": len(plan.unchanged)}


def matters_to_clients(change: Change) -> bool:
    """Return whether the endpoint itself changed: the same endpoint put again does not matter."""
    if change.endpoint is None or change.previous is None:
        return True
    return encode(change.previous.endpoint) != encode(change.endpoint)


def subject(change: Change) -> tuple[Endpoint, int]:
    """Return the endpoint a change is about, and its lease; for a delete, the deleted endpoint."""
    if change.endpoint is None and change.previous is not None:
        return change.previous.endpoint, change.previous.lease
    return change.endpoint or Endpoint(""), change.lease


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
