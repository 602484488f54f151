"""
The keys of a range as a watch knows them, and whether etcd has the same.

A wiped or restored cluster keeps its id, and a lagging member shows an old revision, so neither
proves anything. A linearizable read of the keys and of the revisions of their changes does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import CompactedError, EtcdError, FutureRevisionError
from . import rpc_pb2 as rpc
from .answer_checks import LAST_REVISION
from .client import Client
from .deadline import within
from .snapshot import Snapshot, read_snapshot

__all__ = ["HistoryChangedError", "KnownKeys", "Summary"]

_DELETE = rpc.Event.DELETE

NEWEST = 5
"""Keys, those changed last, that a summary compares."""


class HistoryChangedError(EtcdError):
    """The keys in etcd are not those we know, or can't be compared with them any more."""

    def __init__(self) -> None:
        super().__init__("etcd has another history, or has compacted the one we have seen")


class KeyVersion(NamedTuple):
    """
    The version of a key, without its value.

    A cluster that was wiped and filled in the same way has the same revisions, but other leases.
    """

    mod_revision: int
    version: int
    lease: int

    def matches(self, kv: rpc.KeyValue) -> bool:
        """Return whether *kv* is the same, read without its value and, from etcd 3.7, its lease."""
        return self[:2] == (kv.mod_revision, kv.version) and kv.lease in (0, self.lease)


def _version_of(kv: rpc.KeyValue) -> KeyVersion:
    return KeyVersion(kv.mod_revision, kv.version, kv.lease)


def _leased_last(known: tuple[bytes, KeyVersion]) -> tuple[bool, int]:
    _, version = known
    return bool(version.lease), version.mod_revision


class Summary(NamedTuple):
    """What a cheap read shows of a range: the number of keys, and the newest of them."""

    revision: int
    number: int
    newest: Sequence[rpc.KeyValue]


class KnownKeys:
    """
    The keys from *start* to *end* (exclusive) as they were at `revision`.

    Belongs to one thread.
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

    def add(self, events: Sequence[rpc.Event]) -> list[rpc.Event]:
        """Apply *events*, and return those that are new."""
        return [event for event in events if self._apply(event)]

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
            kv.key in known and known[kv.key].matches(kv) for kv in kvs
        )

    def _check_lease(self) -> None:
        """Compare the newest key that has a lease: in another history all leases differ."""
        key, held = max(self._known.items(), key=_leased_last, default=(b"", None))
        if held and held.lease:
            for kv in self._client._range(rpc.RangeRequest(key=key)).kvs:
                if kv.mod_revision == held.mod_revision and _version_of(kv) != held:
                    raise HistoryChangedError

    def _apply(self, event: rpc.Event) -> bool:
        """Apply *event*, and return whether it is new; a revision may come in several answers."""
        kv = event.kv
        version = None if event.type == _DELETE else _version_of(kv)
        held = self._known.get(kv.key)
        if kv.mod_revision < self.revision or (
            kv.mod_revision == self.revision and version == held
        ):
            return False
        if kv.mod_revision > LAST_REVISION:  # of a broken proxy; no watch could resume after it
            raise HistoryChangedError
        if version is None:
            self._known.pop(kv.key, None)
        else:
            self._known[kv.key] = version
        self.revision = kv.mod_revision
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
