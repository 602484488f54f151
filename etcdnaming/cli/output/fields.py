"""
``fields``: etcdctl's ``"Name" : value`` lines, with ``Addr`` and ``Metadata`` for ``Value``.

Text is quoted as Go's ``%q`` does, IDs are decimal, metadata is JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from ...errors import ConditionFailedError
from ...keys import decode
from ...model import (
    Change,
    ChangeBatch,
    Condition,
    Deletion,
    Endpoint,
    Header,
    InvalidValue,
    Keys,
    Listing,
    Plan,
    Services,
    StoredEndpoint,
    StoredKey,
    Update,
    UpdateResult,
)
from ...wire import dumps
from .printers import (
    CheckedEndpoints,
    EtcdStatus,
    FoundEndpoints,
    GotEndpoints,
    Printer,
    StateChange,
)
from .spelling import counts, difference_effect, event_type, quote_go, safe_json
from .streams import write

__all__ = ["FieldsPrinter"]

_Stored: TypeAlias = StoredEndpoint | StoredKey | InvalidValue


class FieldsPrinter(Printer):
    """See `Printer`."""

    def added(self, result: UpdateResult, prev_kv: bool) -> None:
        """Header, the stored endpoint, and the previous value."""
        write([*_header(result.header), *_updates(result.updates)])
        write(_stored(result.previous.values() if prev_kv else (), "Prev"))

    def deleted(self, deletion: Deletion, prev_kv: bool) -> None:
        """Header, the number, and the previous values."""
        write([*_header(deletion.header), _line("Deleted", deletion.deleted)])
        if prev_kv:
            write(_stored(deletion.previous, "Prev"))

    def listing(self, listing: Listing, remaining: Mapping[int, int]) -> None:
        """Header, endpoints, values that can't be read, and the number of keys."""
        write(_header(listing.header))
        write(_stored(listing.endpoints))
        write(_stored(listing.invalid))
        write(_total(listing))

    def addrs(self, listing: Listing) -> None:
        """As `listing`, with the addresses only."""
        write(_header(listing.header))
        write(_text("Addr", stored.endpoint.addr) for stored in listing.endpoints)
        write(_stored(listing.invalid))
        write(_total(listing))

    def keys(self, keys: Keys) -> None:
        """Header, the keys with their revisions and leases, and the number of keys."""
        write([*_header(keys.header), *_stored(keys.keys), *_total(keys)])

    def count(self, keys: Keys) -> None:
        """Header and the number."""
        write([*_header(keys.header), _line("Count", keys.count)])

    def services(self, services: Services) -> None:
        """Header, the targets with the number of their endpoints, and the other keys."""
        write(_header(services.header))
        for target, count in services.counts.items():
            write([_text("Target", target), _line("Count", count)])
        write([_line("Others", services.others)])

    def got(self, got: GotEndpoints) -> None:
        """Header, then the endpoints in full, and the values that can't be read."""
        write(_header(got.header))
        for stored, ttl, fault in got.endpoints:
            write(_stored([stored]))
            if ttl is not None:
                write([_line("GrantedTTL", ttl.granted), _line("TTL", ttl.remaining)])
            write([_line("Dialable", "false" if fault else "true")])
            write([_text("Fault", fault)] if fault else [])
        write(_stored(got.invalid))
        write(_text("Missing", key) for key in got.missing)

    def found(self, found: FoundEndpoints, remaining: Mapping[int, int]) -> None:
        """Revision, endpoints, and their number."""
        write([_line("Revision", found.revision)])
        write(_stored(found.endpoints))
        write([_line("Count", len(found.endpoints))])

    def checked(self, checked: CheckedEndpoints) -> None:
        """Header, each endpoint with its health, values that can't be read, and the numbers."""
        write(_header(checked.header))
        for stored, status, seconds, reason in checked.endpoints:
            write([*_stored([stored]), _text("Status", status)])
            write([] if seconds is None else [_line("Seconds", f"{seconds:.6f}")])
            write([_text("Reason", reason)] if reason else [])
        write(_stored(checked.invalid))
        write([_line("Serving", checked.serving), _line("Count", len(checked.endpoints))])

    def status(self, found: Sequence[EtcdStatus]) -> None:
        """The endpoint, then the header and the fields of each member."""
        for endpoint, status, reason in found:
            write([_text("Endpoint", endpoint)])
            if status is None:
                write([_text("Reason", reason)])
                continue
            write([*_header(status.header), _text("Version", status.version)])
            write([_text("Role", status.role), _line("DBSize", status.size)])
            write(_text("Error", each) for each in status.errors)
            write([_line("Seconds", f"{status.seconds:.6f}"), _text("User", status.user)])
            write([_text("TLS", status.tls), _text("Expires", status.expires)])

    def transaction(self, results: Sequence[UpdateResult]) -> None:
        """Header, success and the updates, for each transaction."""
        for result in results:
            write([*_header(result.header), _line("Succeeded", "true")])
            write(_updates(result.updates))

    def failure(self, error: ConditionFailedError, updates: Sequence[Update]) -> None:
        """Header, failure and the conditions that were not met."""
        write([*_header(error.header), _line("Succeeded", "false")])
        write(_text("Failed", str(condition)) for condition in error.failed)

    def plan(self, updates: Sequence[Update], conditions: Sequence[Condition]) -> None:
        """The conditions and the updates."""
        write(_text("If", str(condition)) for condition in conditions)
        write(_updates(updates))

    def differences(self, plan: Plan, *, done: bool) -> None:
        """Header, what changes and how, what pruning leaves, and the counts."""
        write(_header(plan.header))
        for difference in plan.differences:
            write([_text("Change", difference_effect(difference))])
            write(_stored([difference.before] if difference.before else [], "Prev"))
            write(_updates([difference.update]))
        write(_stored(plan.kept, "Kept"))
        write(_line(name.title(), count) for name, count in counts(plan).items())

    def export_lines(self, pages: Iterable[Listing]) -> Iterator[str]:
        """The updates, and values that can't be read."""
        for page in pages:
            yield from _updates(Update.add(each.key, each.endpoint) for each in page.endpoints)
            yield from _stored(page.invalid)

    def version(self, versions: Mapping[str, str]) -> None:
        """A line for each part."""
        write(_text(name, version) for name, version in versions.items())

    def batch_lines(
        self, target: str, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]
    ) -> Iterator[str]:
        """The revision, then type, previous and current value of each change."""
        yield _line("Revision", batch.revision)
        if batch.resync:
            yield _line("Resync", "true")
        after = _states_after(batch.changes, endpoints)
        for change, stored in zip(batch.changes, after, strict=True):
            yield _line("Type", event_type(change))
            yield from _stored([change.previous] if change.previous else [], "Prev")
            yield from _stored([stored or _deleted(change)])
        for found in batch.invalid:
            yield _line("Type", "INVALID")
            yield from _stored([found])
        if batch.first:
            yield _line("Type", "SYNCED")
            yield _line("Count", len(batch.changes))

    def state_lines(self, change: StateChange) -> Iterator[str]:
        """A block of the lines that apply to the change."""
        yield _line("Type", change.type)
        event = change.event
        if event.key:
            yield _text("Key", event.key)
        if event.endpoint is not None:
            yield from _endpoint(event.endpoint)
        numbers = (event.revision, event.lease, event.holder, event.ttl)
        for name, number in zip(("Revision", "Lease", "Holder", "TTL"), numbers, strict=True):
            if number:
                yield _line(name, number)
        if event.reason:
            yield _text("Reason", event.reason)
        yield "\n"


def _line(name: str, value: int | str) -> str:
    """A name and a value as it is: a number, or JSON."""
    return f"{quote_go(name)} : {value}\n"


def _text(name: str, value: str) -> str:
    """A name and a quoted text."""
    return _line(name, quote_go(value))


def _header(answer: Header) -> Iterator[str]:
    yield _line("ClusterID", answer.cluster_id)
    yield _line("MemberID", answer.member_id)
    yield _line("Revision", answer.revision)
    yield _line("RaftTerm", answer.raft_term)


def _total(found: Listing | Keys) -> Iterator[str]:
    yield _line("More", "true" if found.more else "false")
    yield _line("Count", found.count)


def _stored(found: Iterable[_Stored], prev: str = "") -> Iterator[str]:
    """Yield the lines of each of *found*; *prev* is put before the names of previous values."""
    for stored in found:
        yield _text(f"{prev}Key", stored.key)
        yield from _values(stored, prev)
        yield _line(f"{prev}Lease", stored.lease)


def _values(found: _Stored, prev: str) -> Iterator[str]:
    if not isinstance(found, InvalidValue):
        yield _line(f"{prev}CreateRevision", found.create_revision)
        yield _line(f"{prev}ModRevision", found.mod_revision)
        yield _line(f"{prev}Version", found.version)
    if isinstance(found, StoredEndpoint):
        yield from _endpoint(found.endpoint, prev)
    if isinstance(found, InvalidValue):
        yield _line(f"{prev}ModRevision", found.mod_revision)
        yield _text(f"{prev}Value", decode(found.value))
        yield _text(f"{prev}Invalid", found.reason)


def _endpoint(found: Endpoint, prev: str = "") -> Iterator[str]:
    yield _text(f"{prev}Addr", found.addr)
    yield _line(f"{prev}Metadata", safe_json(dumps(found.metadata)))


def _updates(changes: Iterable[Update]) -> Iterator[str]:
    """Yield the lines of each update; an update that keeps the lease has no ``Lease`` line."""
    for change in changes:
        yield _text("Op", change.op.name.lower())
        yield _text("Key", change.key)
        if change.endpoint is not None:
            yield from _endpoint(change.endpoint)
        if change.lease is not None:
            yield _line("Lease", change.lease)


def _states_after(
    changes: Sequence[Change], endpoints: Mapping[str, StoredEndpoint]
) -> Sequence[StoredEndpoint | None]:
    """
    Return the stored endpoint right after each of *changes*; *endpoints* are those after the last.

    The state after a change is the state before the next change of the same key.
    """
    after: dict[str, StoredEndpoint | None] = {}
    found: list[StoredEndpoint | None] = []
    for change in reversed(changes):
        stored = after.get(change.key, endpoints.get(change.key))
        found.append(None if change.endpoint is None else stored)
        after[change.key] = change.previous
    return found[::-1]


def _deleted(change: Change) -> StoredEndpoint:
    """Return the fields that etcdctl shows of a deleted key: its key and revision, and zeros."""
    return StoredEndpoint(change.key, Endpoint(""), 0, change.revision, 0, 0)
