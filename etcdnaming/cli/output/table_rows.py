"""The rows of ``-w table`` and of the live table."""

from __future__ import annotations

from collections.abc import Mapping

from ...model import (
    Condition,
    Endpoint,
    InvalidValue,
    StoredEndpoint,
    StoredKey,
    Update,
)
from ...printable import printable
from ...wire import dumps
from .grid import Row
from .spelling import escape, lease_id, safe_json

__all__ = [
    "CHANGES",
    "EFFECT_STYLES",
    "ENDPOINTS",
    "KEYS",
    "condition",
    "endpoint",
    "key",
    "previous",
    "update",
]

# The column that can be long is the last one, so that no other column is padded for it.
ENDPOINTS = ("KEY", "ADDR", "LEASE", "TTL", "METADATA")
KEYS = ("KEY", "CREATE REVISION", "MOD REVISION", "VERSION", "LEASE")
CHANGES = ("OP", "KEY", "ADDR", "LEASE", "METADATA")
NONE = "-"

EFFECT_STYLES = {"added": "green", "changed": "yellow", "removed": "red", "renewed": ""}
"""By `facts.effect`."""


def endpoint(found: StoredEndpoint, remaining: Mapping[int, int]) -> Row:
    """A row of `ENDPOINTS`."""
    key_and_addr = (escape(found.key), escape(found.endpoint.addr))
    lease = (_lease(found.lease), _ttl(remaining.get(found.lease)))
    return Row((*key_and_addr, *lease, _metadata(found.endpoint)))


def key(found: StoredKey) -> Row:
    """A row of `KEYS`."""
    revisions = (found.create_revision, found.mod_revision, found.version)
    return Row((escape(found.key), *map(str, revisions), _lease(found.lease)))


def update(change: Update) -> Row:
    """A row of `CHANGES`: one update."""
    operation = change.op.name.lower()
    if change.endpoint is None:
        return Row((operation, escape(change.key), NONE, NONE, ""))
    lease = "kept" if change.lease is None else _lease(change.lease)
    return _change(operation, change.key, change.endpoint, lease)


def previous(found: StoredEndpoint | InvalidValue) -> Row:
    """A row of `CHANGES`: a previous value."""
    if isinstance(found, InvalidValue):
        cells = (escape(found.key), "not an endpoint", _lease(found.lease), printable(found.reason))
        return Row(("was", *cells), "red", 0)
    return Row(_change("was", found.key, found.endpoint, _lease(found.lease)).cells, "dim")


def condition(wanted: Condition, style: str = "", column: int | None = None) -> Row:
    """A row of `CHANGES`: a condition."""
    what = str(wanted).removeprefix(f"{wanted.key} ")
    return Row(("if", escape(wanted.key), what, NONE, ""), style, column)


def _change(operation: str, key: str, endpoint: Endpoint, lease: str) -> Row:
    return Row((operation, escape(key), escape(endpoint.addr), lease, _metadata(endpoint)))


def _lease(lease: int) -> str:
    return lease_id(lease) if lease else NONE


def _ttl(seconds: int | None) -> str:
    if seconds is None:
        return NONE
    return f"{seconds}s" if seconds >= 0 else "gone"


def _metadata(endpoint: Endpoint) -> str:
    return "" if endpoint.metadata is None else safe_json(dumps(endpoint.metadata))
