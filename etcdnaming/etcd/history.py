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
from .client import Client
from .snapshot import Snapshot, read_snapshot

__all__ = ["AnotherHistoryError", "Glance", "History"]

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


def _mark(kv: rpc.KeyValue) -> _Mark:
    return _Mark(kv.mod_revision, kv.version, kv.lease)


class Glance:
    """What a look at a range shows at little cost: how many keys, and the newest of them."""

    def __init__(self, response: rpc.RangeResponse) -> None:
        self.revision = response.header.revision
        self._count = response.count
        self._newest = {kv.key: _mark(kv) for kv in response.kvs}

    def shows(self, known: dict[bytes, _Mark]) -> bool:
        """Say whether *known* looks like that."""
        return len(known) == self._count and self._newest.items() <= known.items()


class History:
    """
    The keys from *start* to *end* (exclusive) as we have seen them, up to `revision`.

    Belongs to one thread.
    """

    def __init__(self, client: Client, start: bytes, end: bytes) -> None:
        self._client, self._start, self._end = client, start, end
        self._known: dict[bytes, _Mark] = {}
        self.revision = 0

    def read(self, revision: int = 0) -> Snapshot[rpc.KeyValue]:
        """Forget everything, and see what there is now, or was at *revision*."""
        snapshot = read_snapshot(self._client, self._request(revision=revision), list)
        self._known = {kv.key: _mark(kv) for kv in snapshot.found}
        self.revision = revision or snapshot.header.revision
        return snapshot

    def add(self, events: Sequence[rpc.Event]) -> list[rpc.Event]:
        """See *events*, and return those that are new."""
        new = [event for event in events if event.kv.mod_revision > self.revision]
        for event in new:
            if event.type == rpc.Event.DELETE:
                self._known.pop(event.kv.key, None)
            else:
                self._known[event.kv.key] = _mark(event.kv)
        if new:
            self.revision = new[-1].kv.mod_revision
        return new

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
            snapshot = read_snapshot(
                self._client, self._request(revision=self.revision, keys_only=True), list
            )
        except (CompactedError, FutureRevisionError) as exc:
            raise AnotherHistoryError from exc
        if {kv.key: _mark(kv) for kv in snapshot.found} != self._known:
            raise AnotherHistoryError

    def glance(self) -> Glance:
        """Look at what there is now."""
        request = self._request(keys_only=True, limit=NEWEST)
        request.sort_order, request.sort_target = rpc.RangeRequest.DESCEND, rpc.RangeRequest.MOD
        return Glance(self._client.range(request))

    def has_come_to(self, glance: Glance) -> bool:
        """Say whether we have seen what *glance* shows, or more."""
        return self.has_passed(glance) or glance.shows(self._known)

    def has_passed(self, glance: Glance) -> bool:
        """Say whether we have seen more, so that *glance* says nothing about it."""
        return self.revision > glance.revision

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
