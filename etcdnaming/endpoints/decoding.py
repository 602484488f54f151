"""Decode etcd's key-value pairs into endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from .. import keys, wire
from ..errors import InvalidValueError
from ..etcd.columns import Columns, KeyValue
from ..model import InvalidValue, StoredEndpoint, StoredKey, build_many

__all__ = ["split_invalid", "stored_endpoint", "stored_endpoints", "stored_key"]

COLUMNS_FROM = 4
"""Number of keys from which converting column by column is faster."""


def stored_endpoint(kv: KeyValue) -> StoredEndpoint | InvalidValue:
    """Return the endpoint in *kv*, or an `InvalidValue` if its value can't be read."""
    key = keys.decode(kv.key)
    try:
        endpoint = wire.decode(kv.value)
    except InvalidValueError as exc:
        return InvalidValue(key, str(exc), kv.value, kv.mod_revision, kv.lease)
    return StoredEndpoint(key, endpoint, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def stored_endpoints(kvs: Sequence[KeyValue]) -> Sequence[StoredEndpoint | InvalidValue]:
    """Return `stored_endpoint` of each of *kvs*, much faster than one by one."""
    if len(kvs) < COLUMNS_FROM:
        return [stored_endpoint(kv) for kv in kvs]
    # Column by column, so that the loops run in C.
    columns = kvs if isinstance(kvs, Columns) else Columns.of(kvs)
    stored_as, values, *others = columns.lists
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


def stored_key(kv: KeyValue) -> StoredKey:
    """Return the key in *kv*, which was read without its value."""
    return StoredKey(keys.decode(kv.key), kv.create_revision, kv.mod_revision, kv.version, kv.lease)
