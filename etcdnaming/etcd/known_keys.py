"""
The keys of a range as a watch knows them, what happens to them, and whether etcd has the same.

A wiped or restored cluster keeps its id, and a lagging member shows an old revision, so neither
proves anything. A linearizable read of the keys and of the revisions of their changes does.

What a watch brings is plain data, but for the keys and values that were read: see `ranges`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from ..errors import CompactedError, EtcdError, FutureRevisionError
from . import rpc_pb2 as rpc
from .answers import LAST_REVISION
from .client import Client
from .columns import Columns, KeyValue, Row, rows_of
from .deadline import within
from .ranges import Snapshot, read_snapshot

__all__ = ["Events", "HistoryChangedError", "KnownKeys", "RangeSnapshot", "Summary"]

CHANGE_BYTES = 256
"""Memory that a change takes beside its key and its value."""

COLUMNS_FROM = 4
"""Number of changes from which columns are faster than rows."""

NEWEST = 5
"""Keys, those changed last, that a summary compares."""

_NONE: frozenset[int] = frozenset()
_FIRST = frozenset([0])

_TYPE, _KV = attrgetter("type"), attrgetter("kv")


class RangeSnapshot(NamedTuple):
    """All *keys* of the range at *revision*. *resync*: they replace everything that came before."""

    revision: int
    keys: Sequence[KeyValue]
    resync: bool


class Events(NamedTuple):
    """
    Changes in the order they were made, perhaps of several revisions.

    *deleted* holds the positions of the keys that were deleted; of these only the key and its
    revision count.
    """

    keys: Columns | list[Row]
    deleted: frozenset[int]

    @classmethod
    def of(cls, events: Sequence[rpc.Event]) -> Events:
        """Return *events* in plain data: many as `Columns`, for loops that run in C."""
        if len(events) == 1:  # as most are, and each is waited for
            [event] = events
            return cls(rows_of([event.kv]), _FIRST if event.type else _NONE)
        kvs, types = map(_KV, events), [*map(_TYPE, events)]
        keys = Columns.of(kvs) if len(types) >= COLUMNS_FROM else rows_of(kvs)
        if any(types):
            return cls(keys, frozenset(compress(range(len(types)), types)))
        return cls(keys, _NONE)

    @property
    def size(self) -> int:
        """The memory they take, in bytes and roughly."""
        size = CHANGE_BYTES * len(self.keys)
        if isinstance(self.keys, list):
            for key, value, _, _, _, _ in self.keys:
                size += len(key) + len(value)
            return size
        keys, values, *_ = self.keys.lists
        return size + sum(map(len, keys)) + sum(map(len, values))

    def only(self, positions: Iterable[int]) -> Events:
        """Return those at *positions*."""
        chosen = [*positions]
        deleted = (n for n, each in enumerate(chosen) if each in self.deleted)
        return Events([self.keys[each] for each in chosen], frozenset(deleted))


class HistoryChangedError(EtcdError):
    """The keys in etcd are not those we know, or can't be compared with them any more."""

    def __init__(self) -> None:
        super().__init__("etcd has another history, or has compacted the one we have seen")


KeyVersion: TypeAlias = tuple[int, int, int]
"""
The mod revision, version and lease of a key.

A cluster that was wiped and filled in the same way has the same revisions, but other leases.
"""

_version_of = attrgetter("mod_revision", "version", "lease")


def _is_version(known: KeyVersion, kv: rpc.KeyValue) -> bool:
    """Return whether *kv* is the same, read without its value and, from etcd 3.7, its lease."""
    return known[:2] == (kv.mod_revision, kv.version) and kv.lease in (0, known[2])


def _leased_last(known: tuple[bytes, KeyVersion]) -> tuple[bool, int]:
    _, (mod_revision, _, lease) = known
    return bool(lease), mod_revision


class Summary(NamedTuple):
    """What a cheap read shows of a range: the number of keys, and the newest of them."""

    revision: int
    number: int
    newest: Sequence[rpc.KeyValue]


class KnownKeys:
    """
    The keys from *start* to *end* (exclusive) as they were at `revision`.

    Belongs to one thread at a time. A comparison reads etcd, and takes long: it is made with a
    `copy`, which no change alters meanwhile.
    """

    def __init__(self, client: Client, start: bytes, end: bytes) -> None:
        self._client, self._start, self._end = client, start, end
        self._known: dict[bytes, KeyVersion] = {}
        self.revision = 0

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._known)

    def read(self, revision: int = 0) -> Snapshot[rpc.KeyValue]:
        """Read all keys as they are now, or were at *revision*, and know those only."""
        snapshot = self._all(self._request(revision=revision))
        self._known = {kv.key: _version_of(kv) for kv in snapshot.found}
        self.revision = revision or snapshot.header.revision
        return snapshot

    def copy(self) -> KnownKeys:
        """Return the keys as they are now."""
        copy = KnownKeys(self._client, self._start, self._end)
        copy._known, copy.revision = self._known.copy(), self.revision
        return copy

    def add(self, events: Events) -> Events:
        """Apply *events*, and return those that are new."""
        # Not asked for `Columns`: that takes long, because they are an abstract base class's.
        if not (isinstance(events.keys, list) or events.deleted) and self._add_all(events.keys):
            return events
        new = [n for n, row in enumerate(events.keys) if self._apply(row, n in events.deleted)]
        return events if len(new) == len(events.keys) else events.only(new)

    def _add_all(self, puts: Columns) -> bool:
        """Apply *puts* in C, if all are later than what we know, in order, and none is twice."""
        keys, _, _, revisions, versions, leases = puts.lists
        if (
            self.revision < revisions[0]
            and revisions[-1] <= LAST_REVISION
            and revisions == sorted(revisions)
            and len({*zip(keys, revisions)}) == len(keys)  # noqa: B905 - of one length
        ):
            self._known.update(zip(keys, zip(revisions, versions, leases)))  # noqa: B905
            self.revision = revisions[-1]
            return True
        return False

    def check_access(self) -> None:
        """Count the keys, which renews an old token, and raises if we may not read."""
        request = self._request()
        request.count_only = True
        self._client._range(request)

    def check(self) -> None:
        """
        Compare all keys with those that etcd had at `revision`.

        Raises:
            HistoryChangedError: They differ.
        """
        try:
            snapshot = self._all(self._request(revision=self.revision, keys_only=True))
        except (CompactedError, FutureRevisionError) as exc:
            raise HistoryChangedError from exc
        if not self._matches(snapshot.count, snapshot.found):
            raise HistoryChangedError
        self._check_lease()

    def summarize(self) -> Summary:
        """
        Read a summary of the keys as they are now.

        Raises:
            HistoryChangedError: A key shows that this is another history.
        """
        self._check_lease()
        request = self._request(keys_only=True, limit=NEWEST)
        request.sort_order, request.sort_target = rpc.RangeRequest.DESCEND, rpc.RangeRequest.MOD
        found = self._client._range(request)
        return Summary(found.header.revision, found.count, found.kvs)

    def has_reached(self, summary: Summary) -> bool:
        """Return whether we know the changes that *summary* shows, or later ones."""
        return self.has_passed(summary) or self._matches(summary.number, summary.newest)

    def has_passed(self, summary: Summary) -> bool:
        """Return whether we know later changes, so that *summary* can't be compared."""
        return self.revision > summary.revision

    def _all(self, request: rpc.RangeRequest) -> Snapshot[rpc.KeyValue]:
        """Read all of a range; each page may take as long as another call."""
        with within(self._client.timeout) as deadline:

            def convert(page: Sequence[rpc.KeyValue]) -> Sequence[rpc.KeyValue]:
                deadline.renew()
                return page

            return read_snapshot(self._client, request, convert)

    def _matches(self, number: int, kvs: Sequence[rpc.KeyValue]) -> bool:
        """Return whether we know *number* keys, and *kvs* among them in these versions."""
        known = self._known
        return len(known) == number and all(
            kv.key in known and _is_version(known[kv.key], kv) for kv in kvs
        )

    def _check_lease(self) -> None:
        """Compare the newest key that has a lease: in another history all leases differ."""
        key, held = max(self._known.items(), key=_leased_last, default=(b"", (0, 0, 0)))
        mod_revision, _, lease = held
        if lease:
            for kv in self._client._range(rpc.RangeRequest(key=key)).kvs:
                if kv.mod_revision == mod_revision and _version_of(kv) != held:
                    raise HistoryChangedError

    def _apply(self, row: Row, deleted: bool) -> bool:  # noqa: FBT001 - called for every change
        """Apply a change, and return whether it is new; a revision may come in several answers."""
        key, _, _, revision, _, _ = row
        version = row[3:]
        if revision < self.revision or (
            revision == self.revision and self._known.get(key) == (None if deleted else version)
        ):
            return False
        if revision > LAST_REVISION:  # of a broken proxy; no watch could resume after it
            raise HistoryChangedError
        if deleted:
            self._known.pop(key, None)
        else:
            self._known[key] = version
        self.revision = revision
        return True

    def _request(
        self, *, revision: int = 0, keys_only: bool = False, limit: int = 0
    ) -> rpc.RangeRequest:
        return rpc.RangeRequest(
            key=self._start,
            range_end=self._end,
            revision=revision,
            keys_only=keys_only,
            limit=limit,
        )
