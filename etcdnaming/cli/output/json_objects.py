"""
The JSON objects of ``-w json`` and of a watch handler's stdin. Members are only ever added.

The caller must pass the text through `safe_json`, best all at once.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterator, Mapping, Sequence
from json.encoder import encode_basestring

from ...keys import encode
from ...model import (
    Change,
    ChangeBatch,
    Condition,
    Difference,
    Endpoint,
    Header,
    InvalidValue,
    LeaseTTL,
    StoredEndpoint,
    StoredKey,
    Update,
)
from ...wire import dumps, dumps_again, dumps_rows
from .printers import EndpointHealth, EtcdStatus, StateChange
from .spelling import event_type, lease_id, subject

__all__ = [
    "bare_key",
    "condition",
    "details",
    "difference",
    "endpoint",
    "events",
    "header",
    "health",
    "invalid",
    "previous",
    "service",
    "state_change",
    "status",
    "stored",
    "stored_endpoint",
    "stored_endpoints",
    "stored_key",
    "stored_update",
    "update",
]

CHUNK = 500
"""Endpoints that are encoded in one call."""

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
    """Yield the objects of *found*; for speed, up to `CHUNK` of them are one text with commas."""
    for begin in range(0, len(found), CHUNK):
        some = found[begin : begin + CHUNK]
        yield _encode_chunk(some) or ",".join(map(stored_endpoint, some))


def _encode_chunk(found: Sequence[StoredEndpoint]) -> str | None:
    keys, endpoints, *revisions, leases = zip(*found, strict=True)
    addrs, metadata = zip(*endpoints, strict=True)
    raw, ids = [None] * len(keys), [*map(lease_id, leases)]
    return dumps_rows(_MEMBERS, (keys, raw, addrs, metadata, *revisions, ids))


def stored_key(found: StoredKey) -> str:
    """As `stored_endpoint`, without ``addr metadata``."""
    key, *revisions = found
    return f"{{{_key(key)},{_revisions(*revisions)}}}"


def details(found: StoredEndpoint, ttl: LeaseTTL | None, fault: str) -> str:
    """As `stored_endpoint`, and ``granted_ttl ttl dialable fault``; null if none or unknown."""
    granted, remaining = ("null", "null") if ttl is None else ttl
    reason = encode_basestring(fault) if fault else "null"
    return (
        f'{stored_endpoint(found)[:-1]},"granted_ttl":{granted},"ttl":{remaining},'
        f'"dialable":{"false" if fault else "true"},"fault":{reason}}}'
    )


def health(found: EndpointHealth) -> str:
    """As `stored_endpoint`, and ``status seconds reason``; the last two are null if unknown."""
    seconds = "null" if found.seconds is None else f"{found.seconds:.6f}"
    reason = encode_basestring(found.reason) if found.reason else "null"
    return (
        f'{stored_endpoint(found.stored)[:-1]},"status":"{found.status}","seconds":{seconds},'
        f'"reason":{reason}}}'
    )


def status(found: EtcdStatus) -> str:
    """``endpoint header version role db_size errors seconds user tls expires reason``."""
    known = found.status
    members: dict[str, str] = {"endpoint": encode_basestring(found.endpoint)}
    members["header"] = header(known.header) if known else "null"
    texts = {"version": "", "role": "", "user": "", "tls": "", "expires": ""}
    if known:
        texts = {name: getattr(known, name) for name in texts}
    members |= {name: encode_basestring(text) if text else "null" for name, text in texts.items()}
    members["db_size"] = str(known.size) if known else "null"
    errors = ",".join(map(encode_basestring, known.errors)) if known else ""
    members["errors"] = f"[{errors}]"
    members["seconds"] = f"{known.seconds:.6f}" if known else "null"
    members["reason"] = encode_basestring(found.reason) if found.reason else "null"
    return "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"


def bare_key(key: str) -> str:
    """``key key_base64``."""
    return f"{{{_key(key)}}}"


def invalid(found: InvalidValue) -> str:
    """``key key_base64 reason value_base64 mod_revision``."""
    return (
        f'{{{_key(found.key)},"reason":{encode_basestring(found.reason)},'
        f'"value_base64":{_base64(found.value)},"mod_revision":{found.mod_revision}}}'
    )


def stored(found: StoredEndpoint | InvalidValue) -> str:
    """`stored_endpoint`, or `invalid` for a value that can't be read."""
    return invalid(found) if isinstance(found, InvalidValue) else stored_endpoint(found)


def previous(before: Mapping[str, StoredEndpoint | InvalidValue], key: str) -> str:
    """The previous value of *key*, as `stored`; null if unknown or absent."""
    return stored(before[key]) if key in before else "null"


def endpoint(change: Update) -> str:
    """``key key_base64 addr metadata lease``; all but the key are null for a delete."""
    return f"{{{_change(change)}}}"


def update(change: Update) -> str:
    """``op``, the members of `endpoint`, and ``prev``, always null."""
    return f'{{"op":"{change.op.name.lower()}",{_change(change)},"prev":null}}'


def stored_update(found: StoredEndpoint) -> str:
    """As `update`: the add that stores *found* again, on the lease that its key has then."""
    return (
        f'{{"op":"add",{_key(found.key)},"addr":{encode_basestring(found.endpoint.addr)},'
        f'"metadata":{dumps_again(found.endpoint.metadata)},"lease":null,"prev":null}}'
    )


def difference(found: Difference) -> str:
    """As `update`, with what etcd holds before it as ``prev``."""
    change, before = found
    prev = "null" if before is None else stored(before)
    return f'{{"op":"{change.op.name.lower()}",{_change(change)},"prev":{prev}}}'


def condition(wanted: Condition) -> str:
    """``key key_base64 condition mod_revision``; the last is null for ``exists`` and ``absent``."""
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


def events(batch: ChangeBatch) -> Iterator[str]:
    """
    Yield an object for each change of *batch* and for each value that can't be read.

    The first batch of a watch ends with an object of type ``SYNCED``.
    """
    for change in batch.changes:
        yield _event(change, resync=batch.resync)
    for found in batch.invalid:
        yield f'{{"type":"INVALID",{invalid(found)[1:]}'
    if batch.first:
        count = len(batch.changes)
        yield f'{{"type":"SYNCED","revision":{batch.revision},"count":{count}}}'


def _event(change: Change, *, resync: bool) -> str:
    """``type revision key key_base64 addr metadata lease prev resync``."""
    shown, lease = subject(change)
    members = _change(Update.add(change.key, shown, lease=lease))
    prev = "null" if change.previous is None else stored_endpoint(change.previous)
    return (
        f'{{"type":"{event_type(change)}","revision":{change.revision},{members},'
        f'"prev":{prev},"resync":{"true" if resync else "false"}}}'
    )


def _change(change: Update) -> str:
    # A lease of null means: the key keeps its lease, whichever that is.
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
