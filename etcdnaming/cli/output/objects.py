"""
The JSON objects that ``-w json`` is made of. What programs read: it only ever grows.

They still have to go through `safe_json`, all at once.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterator, Mapping, Sequence
from json.encoder import encode_basestring

from ...keys import encode
from ...model import (
    Condition,
    Endpoint,
    Header,
    InvalidValue,
    StoredEndpoint,
    StoredKey,
    Update,
)
from ...wire import dumps, dumps_again, dumps_rows
from .registering import StateChange
from .spelling import lease_id

__all__ = [
    "condition",
    "endpoint",
    "header",
    "invalid",
    "previous",
    "service",
    "state_change",
    "stored",
    "stored_endpoint",
    "stored_endpoints",
    "stored_key",
    "update",
]


MANY = 500
"""Endpoints that are written in one go."""

_MEMBERS = (
    *("key", "key_base64", "addr", "metadata"),
    *("create_revision", "mod_revision", "version", "lease"),
)


def header(answer: Header) -> str:
    """``cluster_id member_id revision raft_term``."""
    return (
        f'{{"cluster_id":"{answer.cluster_id:x}","member_id":"{answer.member_id:x}",'
        f'"revision":{answer.revision},"raft_term":{answer.raft_term}}}'
    )


def stored_endpoint(found: StoredEndpoint) -> str:
    """``key key_base64 addr metadata create_revision mod_revision version lease``."""
    key, (addr, metadata), *revisions = found
    return (
        f'{{{_key(key)},"addr":{encode_basestring(addr)},"metadata":{dumps_again(metadata)},'
        f"{_revisions(*revisions)}}}"
    )


def stored_endpoints(found: Sequence[StoredEndpoint]) -> Iterator[str]:
    """Yield `stored_endpoint` of all *found*, many in one text with commas between: it is fast."""
    for begin in range(0, len(found), MANY):
        some = found[begin : begin + MANY]
        yield _in_one(some) or ",".join(map(stored_endpoint, some))


def _in_one(found: Sequence[StoredEndpoint]) -> str | None:
    keys, endpoints, *revisions, leases = zip(*found, strict=True)
    addrs, metadata = zip(*endpoints, strict=True)
    raw, ids = [None] * len(keys), [*map(lease_id, leases)]
    return dumps_rows(_MEMBERS, (keys, raw, addrs, metadata, *revisions, ids))


def stored_key(found: StoredKey) -> str:
    """As `stored_endpoint`, without ``addr metadata``."""
    key, *revisions = found
    return f"{{{_key(key)},{_revisions(*revisions)}}}"


def invalid(found: InvalidValue) -> str:
    """``key key_base64 reason value_base64 mod_revision``."""
    return (
        f'{{{_key(found.key)},"reason":{encode_basestring(found.reason)},'
        f'"value_base64":{_base64(found.value)},"mod_revision":{found.mod_revision}}}'
    )


def stored(found: StoredEndpoint | InvalidValue) -> str:
    """`stored_endpoint`, or `invalid` if it can't be read."""
    return invalid(found) if isinstance(found, InvalidValue) else stored_endpoint(found)


def previous(before: Mapping[str, StoredEndpoint | InvalidValue], key: str) -> str:
    """What *key* held, as `stored`; null if that is not known, or was nothing."""
    return stored(before[key]) if key in before else "null"


def endpoint(change: Update) -> str:
    """``key key_base64 addr metadata lease``, of which a delete has only the key."""
    return f"{{{_change(change)}}}"


def update(change: Update) -> str:
    """``op``, what `endpoint` has, and ``prev``, which is not asked for."""
    return f'{{"op":"{change.op.name.lower()}",{_change(change)},"prev":null}}'


def condition(wanted: Condition) -> str:
    """``key key_base64 condition mod_revision``; the last is null unless it is the condition."""
    names = {None: "exists", 0: "absent"}
    revision = "null" if wanted.mod_revision in names else wanted.mod_revision
    name = names.get(wanted.mod_revision, "mod_revision")
    return f'{{{_key(wanted.key)},"condition":"{name}","mod_revision":{revision}}}'


def service(target: str, count: int) -> str:
    """``target target_base64 count``."""
    return f'{{{_key(target, "target")},"count":{count}}}'


def state_change(change: StateChange, at: str) -> str:
    """``type time key key_base64 addr metadata lease ttl holder revision seconds reason``."""
    event = change.event
    return (
        f'{{"type":"{change.type}","time":"{at}",{_key(event.key)},{_values(event.endpoint)},'
        f'"lease":"{lease_id(event.lease)}","ttl":{event.ttl},'
        f'"holder":"{lease_id(event.holder)}","revision":{event.revision},'
        f'"seconds":{event.seconds:.3f},"reason":{encode_basestring(event.reason)}}}'
    )


def _change(change: Update) -> str:
    # A lease of null is one that is kept, whichever it is.
    lease = "null" if change.lease is None else f'"{lease_id(change.lease)}"'
    return f'{_key(change.key)},{_values(change.endpoint)},"lease":{lease}'


def _key(key: str, name: str = "key") -> str:
    raw = "null" if key.isascii() else _raw(key)
    return f'"{name}":{encode_basestring(key)},"{name}_base64":{raw}'


def _raw(key: str) -> str:
    try:
        key.encode()
    except UnicodeEncodeError:
        return _base64(encode(key))
    return "null"


def _base64(value: bytes) -> str:
    return f'"{b2a_base64(value, newline=False).decode()}"'


def _values(found: Endpoint | None) -> str:
    return _endpoint(found) if found else '"addr":null,"metadata":null'


def _endpoint(found: Endpoint) -> str:
    return f'"addr":{encode_basestring(found.addr)},"metadata":{dumps(found.metadata)}'


def _revisions(created: int, modified: int, version: int, lease: int) -> str:
    return (
        f'"create_revision":{created},"mod_revision":{modified},'
        f'"version":{version},"lease":"{lease_id(lease)}"'
    )
