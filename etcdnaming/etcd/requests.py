"""The parts of a transaction, spelled as short as they are said."""

from __future__ import annotations

from . import rpc_pb2 as rpc

__all__ = ["delete", "get", "get_key", "is_at", "is_there", "none_is_newer", "put"]


def put(
    key: bytes, value: bytes, *, lease: int = 0, keep_lease: bool = False, previous: bool = False
) -> rpc.RequestOp:
    """Write *key*. *keep_lease* needs a key that exists; it stays on whatever lease it hangs on."""
    return rpc.RequestOp(
        request_put=rpc.PutRequest(
            key=key, value=value, lease=lease, ignore_lease=keep_lease, prev_kv=previous
        )
    )


def delete(key: bytes) -> rpc.RequestOp:
    """Delete *key*; the answer holds what went away."""
    return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key, prev_kv=True))


def get(key: bytes) -> rpc.RequestOp:
    """Read *key*."""
    return rpc.RequestOp(request_range=rpc.RangeRequest(key=key))


def get_key(key: bytes) -> rpc.RequestOp:
    """Read what etcd knows of *key*, without the value."""
    return rpc.RequestOp(request_range=rpc.RangeRequest(key=key, keys_only=True))


def is_there(key: bytes) -> rpc.Compare:
    """Hold if *key* exists."""
    return rpc.Compare(key=key, target=rpc.Compare.VERSION, result=rpc.Compare.GREATER, version=0)


def is_at(key: bytes, mod_revision: int) -> rpc.Compare:
    """Hold if *key* was last changed at *mod_revision*."""
    return rpc.Compare(
        key=key,
        target=rpc.Compare.MOD,
        result=rpc.Compare.EQUAL,
        mod_revision=mod_revision,
    )


def none_is_newer(start: bytes, end: bytes, revision: int) -> rpc.Compare:
    """Hold if no key from *start* to *end* (exclusive) was created after *revision*."""
    return rpc.Compare(
        key=start,
        range_end=end,
        target=rpc.Compare.CREATE,
        result=rpc.Compare.LESS,
        create_revision=revision + 1,
    )
