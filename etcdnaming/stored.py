"""What etcd holds -> what it means: a key-value pair read as an endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import keys, wire
from .errors import InvalidValueError
from .etcd import rpc
from .model import Header, InvalidValue, StoredEndpoint, StoredKey

__all__ = ["header_of", "stored_endpoint", "stored_endpoints", "stored_key"]


def header_of(header: rpc.ResponseHeader) -> Header:
    """Return who answered, and at which revision."""
    return Header(header.cluster_id, header.member_id, header.revision, header.raft_term)


def stored_endpoint(kv: rpc.KeyValue) -> StoredEndpoint | InvalidValue:
    """Return the endpoint in *kv*; a value that can't be read is never skipped, but named."""
    return next(stored_endpoints([kv]))


def stored_endpoints(kvs: Sequence[rpc.KeyValue]) -> Iterator[StoredEndpoint | InvalidValue]:
    """Yield `stored_endpoint` of each of *kvs*, which is much faster for many of them."""
    for kv, endpoint in zip(kvs, wire.decode_all([kv.value for kv in kvs]), strict=True):
        key = keys.decode(kv.key)
        if isinstance(endpoint, InvalidValueError):
            yield InvalidValue(key, str(endpoint), kv.value, kv.mod_revision, kv.lease)
        else:
            yield StoredEndpoint(
                key, endpoint, kv.create_revision, kv.mod_revision, kv.version, kv.lease
            )


def stored_key(kv: rpc.KeyValue) -> StoredKey:
    """Return what is known of a key that was read without its value."""
    return StoredKey(keys.decode(kv.key), kv.create_revision, kv.mod_revision, kv.version, kv.lease)
