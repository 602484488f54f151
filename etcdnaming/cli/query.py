"""What `list` asks etcd."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from ..errors import EtcdError
from ..model import Keys, Listing, Services
from .app import App

__all__ = ["Query"]

MOST_LEASES = 100
"""Each takes a question of its own, and nobody reads more."""


class Query:
    """
    Reads at *revision* (0: now), of one member if *serializable*, at most *limit* keys (0: all).

    *no_lease* leaves out what hangs on a lease; that can't be said beside a limit.
    """

    def __init__(
        self, app: App, *, revision: int, limit: int, serializable: bool, no_lease: bool
    ) -> None:
        self._app, self._limit, self._no_lease = app, limit, no_lease
        self._revision, self._serializable = revision, serializable

    def services(self, prefix: str) -> Services:
        """Return the targets under *prefix*."""
        return self._app.services(prefix, revision=self._revision, serializable=self._serializable)

    def count(self, target: str) -> Keys:
        """Return how many keys there are under *target*."""
        if self._no_lease:
            return self.keys(target, leases=True)
        manager = self._app.manager(target)
        return manager.count(revision=self._revision, serializable=self._serializable)

    def keys(self, target: str, *, leases: bool) -> Keys:
        """Return the keys under *target*, with their *leases* if they are told."""
        found = self._app.manager(target).list_keys(
            revision=self._revision,
            limit=self._limit,
            serializable=self._serializable,
            leases=leases or self._no_lease,
        )
        if not self._no_lease:
            return found
        kept = [each for each in found.keys if not each.lease]
        return found._replace(keys=kept, count=len(kept))

    def listing(self, target: str) -> Listing:
        """Return the endpoints of *target*."""
        found = self._app.manager(target).list(
            revision=self._revision, limit=self._limit, serializable=self._serializable
        )
        if not self._no_lease:
            return found
        kept = [each for each in found.endpoints if not each.lease]
        invalid = [each for each in found.invalid if not each.lease]
        return found._replace(endpoints=kept, invalid=invalid, count=len(kept) + len(invalid))

    def remaining(self, listing: Listing) -> Mapping[int, int]:
        """Return the seconds that the first leases in *listing* have left, by their ids."""
        client = self._app.client()
        leases = dict.fromkeys(each.lease for each in listing.endpoints if each.lease)
        remaining: dict[int, int] = {}
        try:
            for lease in islice(leases, MOST_LEASES):
                remaining[lease] = client.lease_time_to_live(lease)
        except EtcdError:
            pass  # the endpoints are what was asked for; what is missing here shows as "-"
        return remaining
