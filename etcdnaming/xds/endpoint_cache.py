"""The endpoints that clients get: those in etcd, and for a while those a re-read did not find."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ..model import ChangeBatch, Endpoint

__all__ = ["EndpointCache"]


class EndpointCache:
    """
    Endpoints by key. Belongs to one thread.

    A deletion counts at once. What merely is not there when etcd is read again (it was compacted,
    restored, wiped) is kept for *hold* seconds, so that those that are still in use can come back.
    """

    def __init__(self, hold: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._hold, self._clock = hold, clock
        self._endpoints: dict[str, Endpoint] = {}
        self._missing: dict[str, float] = {}
        self._read = False

    def get(self, key: str) -> Endpoint | None:
        """Return the endpoint at *key*, if there is one."""
        return self._endpoints.get(key)

    def is_missing(self, key: str) -> bool:
        """Say whether the endpoint at *key* is kept although etcd does not have it."""
        return key in self._missing

    @property
    def missing(self) -> int:
        """How many endpoints are kept although etcd does not have them."""
        return len(self._missing)

    def apply(self, batch: ChangeBatch) -> set[str]:
        """Take *batch* in; return the keys of which the endpoint has come, changed or gone."""
        changed = set()
        again = batch.resync or (batch.first and self._read)
        if batch.first:  # such a one has no deletions: what it does not name is not there
            self._miss(self._endpoints.keys() - {change.key for change in batch.changes})
        self._read = True
        for change in batch.changes:
            if change.endpoint is not None:
                if self._endpoints.get(change.key) != change.endpoint:
                    self._endpoints[change.key] = change.endpoint
                    changed.add(change.key)
                self._missing.pop(change.key, None)
            elif again:
                self._miss({change.key} & self._endpoints.keys())
            else:
                if self._endpoints.pop(change.key, None) is not None:
                    changed.add(change.key)
                self._missing.pop(change.key, None)
        return changed

    def wait_anew(self) -> None:
        """Give the missing ones all their time once more: etcd was away, they could not come."""
        self._missing.update(dict.fromkeys(self._missing, self._clock() + self._hold))

    def patience(self) -> float | None:
        """Return the seconds after which the next of the missing is given up; ``None``: never."""
        end = min(self._missing.values(), default=math.inf)
        return None if end == math.inf else max(0.0, end - self._clock())

    def give_up(self) -> set[str]:
        """Remove those that have been missing for too long; return their keys."""
        now = self._clock()
        late = {key for key, end in self._missing.items() if end <= now}
        for key in late:
            del self._missing[key], self._endpoints[key]
        return late

    def _miss(self, keys: set[str]) -> None:
        for key in keys:
            self._missing.setdefault(key, self._clock() + self._hold)
