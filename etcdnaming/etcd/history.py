"""
What we have seen of a range of keys, and whether etcd has seen the same.

A wiped or restored cluster keeps its id, and a lagging member shows an old revision: neither says
anything. What decides is a linearizable read of the keys and of the revisions they were changed at.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import CompactedError, FutureRevisionError
from . import rpc_pb2 as rpc
from .client import Client
from .snapshot import Snapshot, read_snapshot

__all__ = ["Glance", "History"]

NEWEST = 5
"""Keys, those changed last, that a glance compares."""


class Glance:
    """What a look at a range shows at little cost: how many keys, and the newest of them."""

    def __init__(self, response: rpc.RangeResponse) -> None:
        self.revision = response.header.revision
        self._count = response.count
        self._newest = {kv.key: kv.mod_revision for kv in response.kvs}

    def shows(self, known: dict[bytes, int]) -> bool:
        """Say whether *known* looks like that."""
        return len(known) == self._count and self._newest.items() <= known.items()


class History:
    """
    The keys from *start* to *end* (exclusive) as we have seen them, up to `revision`.

    Belongs to one thread.
    """

    def __init__(self, client: Client, start: bytes, end: bytes) -> None:
        self._client, self._start, self._end = client, start, end
        self._known: dict[bytes, int] = {}
        self.revision = 0

    def read(self, revision: int = 0) -> Snapshot:
        """Forget everything, and see what there is now, or was at *revision*."""
        snapshot = read_snapshot(self._client, self._request(revision=revision))
        self._known = {kv.key: kv.mod_revision for kv in snapshot.kvs}
        self.revision = revision or snapshot.header.revision
        return snapshot

    def add(self, events: Sequence[rpc.Event]) -> list[rpc.Event]:
        """See *events*, and return those that are new."""
        new = [event for event in events if event.kv.mod_revision > self.revision]
        for event in new:
            if event.type == rpc.Event.DELETE:
                self._known.pop(event.kv.key, None)
            else:
                self._known[event.kv.key] = event.kv.mod_revision
        if new:
            self.revision = new[-1].kv.mod_revision
        return new

    def is_etcds(self) -> bool:
        """Say whether etcd has the same keys, changed at the same revisions, where we are."""
        if not self.revision:
            return True
        try:
            snapshot = read_snapshot(
                self._client, self._request(revision=self.revision, keys_only=True)
            )
        except (CompactedError, FutureRevisionError):
            return False
        return {kv.key: kv.mod_revision for kv in snapshot.kvs} == self._known

    def glance(self) -> Glance:
        """Look at what there is now."""
        request = self._request(keys_only=True, limit=NEWEST)
        request.sort_order, request.sort_target = rpc.RangeRequest.DESCEND, rpc.RangeRequest.MOD
        return Glance(self._client.range(request))

    def has_come_to(self, glance: Glance) -> bool:
        """Say whether we have seen what *glance* shows, or more."""
        return self.revision > glance.revision or glance.shows(self._known)

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
