"""
The parts of a transaction.

They are mappings. protobuf makes the transaction of them in half the time that it needs for
messages, which it copies into one another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from . import rpc_pb2 as rpc

__all__ = ["Part", "delete", "get", "get_key", "is_at", "is_there", "none_is_newer", "put"]

Part: TypeAlias = Mapping[str, object]
"""The fields of an `rpc.RequestOp` or an `rpc.Compare`."""


def put(
    key: bytes, value: bytes, *, lease: int = 0, keep_lease: bool = False, previous: bool = False
) -> Part:
    """Write *key*. *keep_lease* needs a key that exists; it stays on whatever lease it hangs on."""
    fields = {
        "key": key,
        "value": value,
        "lease": lease,
        "ignore_lease": keep_lease,
        "prev_kv": previous,
    }
    return {"request_put": fields}


def delete(key: bytes) -> Part:
    """Delete *key*; the answer holds what went away."""
    return {"request_delete_range": {"key": key, "prev_kv": True}}


def get(key: bytes) -> Part:
    """Read *key*."""
    return {"request_range": {"key": key}}


def get_key(key: bytes) -> Part:
    """Read what etcd knows of *key*, without the value."""
    return {"request_range": {"key": key, "keys_only": True}}


def is_there(key: bytes) -> Part:
    """Hold if *key* exists."""
    return {
        "key": key,
        "target": rpc.Compare.VERSION,
        "result": rpc.Compare.GREATER,
        "version": 0,
    }


def is_at(key: bytes, mod_revision: int) -> Part:
    """Hold if *key* was last changed at *mod_revision*."""
    return {
        "key": key,
        "target": rpc.Compare.MOD,
        "result": rpc.Compare.EQUAL,
        "mod_revision": mod_revision,
    }


def none_is_newer(start: bytes, end: bytes, revision: int) -> Part:
    """Hold if no key from *start* to *end* (exclusive) was created after *revision*."""
    return {
        "key": start,
        "range_end": end,
        "target": rpc.Compare.CREATE,
        "result": rpc.Compare.LESS,
        "create_revision": revision + 1,
    }
