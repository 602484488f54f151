"""
What we have seen of a range of keys, and whether etcd has seen the same.

A wiped or restored cluster keeps its id, and a lagging member shows an old revision: neither says
anything. What decides is a linearizable read of the keys and of the revisions they were changed at.
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

__all__ = ["AnotherHistoryError", "Glance", "History"]

_DELETE = rpc.Event.DELETE

NEWEST = 5
"""Keys, those changed last, that a glance compares."""


class AnotherHistoryError(EtcdError):
    """What etcd has is not what we have seen, or can't be compared with it any more."""

    def __init__(self) -> None:
        super().__init__("etcd has another history, or has compacted the one we have seen")


class _Mark(NamedTuple):
    """
    What we know a key by, without its value.

    Who starts a wiped cluster as he did the first time gets the same revisions, but other leases.
    """

    mod_revision: int
    version: int
    lease: int

    def fits(self, kv: rpc.KeyValue) -> bool:
        """Say whether *kv* is the same, read without its value and so, by etcd 3.7, its lease."""
        return self[:2] == (kv.mod_revision, kv.version) and kv.lease in (0, self.lease)


def _mark(kv: rpc.KeyValue) -> _Mark:
    return _Mark(kv.mod_revision, kv.version, kv.lease)


def _leased_last(known: tuple[bytes, _Mark]) -> tuple[bool, int]:
    _, mark = known
    return bool(mark.lease), mark.mod_revision


class Glance(NamedTuple):
    """What a look at a range shows at little cost: how many keys, and the newest of them."""

    revision: int
    number: int
    newest: Sequence[rpc.KeyValue]


class History:
    """
    The keys from *start* to *end* (exclusive) as we have seen them, up to `revision`.

    Belongs to one thread.
    """

    def __init__(self, client: Client, start: bytes, end: bytes) -> None:
        self._client, self._start, self._end = client, start, end
        self._known: dict[bytes, _Mark] = {}
        self.revision = 0

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._known)

    def read(self, revision: int = 0) -> Snapshot[rpc.KeyValue]:
        """Forget everything, and see what there is now, or was at *revision*."""
        snapshot = self._all(self._request(revision=revision))
        self._known = {kv.key: _mark(kv) for kv in snapshot.found}
        self.revision = revision or snapshot.header.revision
        return snapshot

    def add(self, events: Sequence[rpc.Event]) -> list[rpc.Event]:
        """See *events*, and return those that are new."""
        return [event for event in events if self._see(event)]

    def ask(self) -> None:
        """Read next to nothing, which renews an old token, and says whether we may read at all."""
        request = self._request()
        request.count_only = True
        self._client.range(request)

    def check(self) -> None:
        """
        Compare all keys with etcd's, as they were where we are.

        Raises:
            AnotherHistoryError: They differ.
        """
        try:
            snapshot = self._all(self._request(revision=self.revision, keys_only=True))
        except (CompactedError, FutureRevisionError) as exc:
            raise AnotherHistoryError from exc
        if not self._holds(snapshot.count, snapshot.found):
            raise AnotherHistoryError
        self._check_lease()

    def glance(self) -> Glance:
        """
        Look at what there is now.

        Raises:
            AnotherHistoryError: It can't have come from what we have seen.
        """
        self._check_lease()
        request = self._request(keys_only=True, limit=NEWEST)
        request.sort_order, request.sort_target = rpc.RangeRequest.DESCEND, rpc.RangeRequest.MOD
        found = self._client.range(request)
        return Glance(found.header.revision, found.count, found.kvs)

    def has_come_to(self, glance: Glance) -> bool:
        """Say whether we have seen what *glance* shows, or more."""
        return self.has_passed(glance) or self._holds(glance.number, glance.newest)

    def has_passed(self, glance: Glance) -> bool:
        """Say whether we have seen more, so that *glance* says nothing about it."""
        return self.revision > glance.revision

    def _all(self, request: rpc.RangeRequest) -> Snapshot[rpc.KeyValue]:
        """Read all of a range; every page of it may take as long as another call."""
        with within(self._client.timeout) as deadline:

            def convert(page: Sequence[rpc.KeyValue]) -> Sequence[rpc.KeyValue]:
                deadline.renew()
                return page

            return read_snapshot(self._client, request, convert)

    def _holds(self, number: int, kvs: Sequence[rpc.KeyValue]) -> bool:
        """Say whether we know *number* keys, and *kvs* among them as they are."""
        known = self._known
        return len(known) == number and all(
            kv.key in known and known[kv.key].fits(kv) for kv in kvs
        )

    def _check_lease(self) -> None:
        """Compare the newest key that has a lease: one is enough, for all of them would differ."""
        key, held = max(self._known.items(), key=_leased_last, default=(b"", None))
        if held and held.lease:
            for kv in self._client.range(rpc.RangeRequest(key=key)).kvs:
                if kv.mod_revision == held.mod_revision and _mark(kv) != held:
                    raise AnotherHistoryError

    def _see(self, event: rpc.Event) -> bool:
        """See *event*, and say whether it is new; a revision may come in several parts."""
        kv = event.kv
        mark = None if event.type == _DELETE else _mark(kv)
        held = self._known.get(kv.key)
        if kv.mod_revision < self.revision or (kv.mod_revision == self.revision and mark == held):
            return False
        if kv.mod_revision > LAST_REVISION:  # of a broken proxy; no watch could resume after it
            raise AnotherHistoryError
        if mark is None:
            self._known.pop(kv.key, None)
        else:
            self._known[kv.key] = mark
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
