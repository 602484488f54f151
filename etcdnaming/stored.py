"""What etcd holds -> what it means: a key-value pair read as an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import cast

from . import keys, wire
from .errors import InvalidValueError
from .etcd import rpc
from .model import Header, InvalidValue, StoredEndpoint, StoredKey, build_many

__all__ = ["header_of", "split_invalid", "stored_endpoint", "stored_endpoints", "stored_key"]

FEW = 4
"""Keys, from which on it is faster to convert them column by column."""

_COLUMNS = tuple(
    map(attrgetter, ("key", "value", "create_revision", "mod_revision", "version", "lease"))
)


def header_of(header: rpc.ResponseHeader) -> Header:
    """Return who answered, and at which revision."""
    return Header(header.cluster_id, header.member_id, header.revision, header.raft_term)


def stored_endpoint(kv: rpc.KeyValue) -> StoredEndpoint | InvalidValue:
    """Return the endpoint in *kv*; a value that can't be read is never skipped, but named."""
    key = keys.decode(kv.key)
    try:
        endpoint = wire.decode(kv.value)
    except InvalidValueError as exc:
        return InvalidValue(key, str(exc), kv.value, kv.mod_revision, kv.lease)
    return StoredEndpoint(key, endpoint, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def stored_endpoints(kvs: Sequence[rpc.KeyValue]) -> Sequence[StoredEndpoint | InvalidValue]:
    """Return `stored_endpoint` of each of *kvs*, which is much faster for many of them."""
    if len(kvs) < FEW:
        return [stored_endpoint(kv) for kv in kvs]
    # Column by column, because then it is done in C.
    stored_as, values, *others = ([*map(column, kvs)] for column in _COLUMNS)
    endpoints = wire.decode_all(values)
    rows = zip(map(keys.decode, stored_as), endpoints, *others, strict=True)
    found = list(build_many(StoredEndpoint, rows))
    if InvalidValueError not in map(type, endpoints):
        return found
    return [
        stored_endpoint(kv) if isinstance(each.endpoint, InvalidValueError) else each
        for each, kv in zip(found, kvs, strict=True)
    ]


def split_invalid(
    found: list[StoredEndpoint | InvalidValue],
) -> tuple[Sequence[StoredEndpoint], Sequence[InvalidValue]]:
    """Return the endpoints among *found*, and the values that can't be read."""
    if InvalidValue not in map(type, found):
        return cast("list[StoredEndpoint]", found), []
    return (
        [each for each in found if isinstance(each, StoredEndpoint)],
        [each for each in found if isinstance(each, InvalidValue)],
    )


def stored_key(kv: rpc.KeyValue) -> StoredKey:
    """Return what is known of a key that was read without its value."""
    return StoredKey(keys.decode(kv.key), kv.create_revision, kv.mod_revision, kv.version, kv.lease)
