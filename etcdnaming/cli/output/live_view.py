"""What a live table shows: the endpoints, and what became of them in the last seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from itertools import islice, takewhile
from typing import NamedTuple

from ...model import Change, ChangeBatch, InvalidValue, StoredEndpoint
from . import table_rows as rows
from .changes import effect
from .grid import Row

__all__ = ["RECENT", "View"]

RECENT = 15.0
"""Seconds for which a change stands out, and what was removed is still shown."""

SIGNS = {"added": "+", "changed": "~", "removed": "-", "renewed": "="}
UNREADABLE = "!"


class Entry(NamedTuple):
    """What a key holds, or held before it was removed; what became of it, and when by the clock."""

    held: StoredEndpoint | InvalidValue
    word: str = ""
    at: float = -math.inf


class View:
    """
    The endpoints as far as they are to be shown; *now* is always the time by the clock.

    What is there at the beginning is only told by a first batch: without one, only changes show.
    """

    def __init__(self) -> None:
        self.count = self.revision = 0
        self.resynced: float | None = None
        """When it was read again, because etcd could not tell what was missed."""
        self._entries: dict[str, Entry] = {}  # the latest change last
        self._gone: set[str] = set()

    def tell(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint], now: float) -> None:
        """Take *batch*, after which there are *endpoints*."""
        self.count, self.revision = len(endpoints), batch.revision
        if batch.resync:
            self.resynced = now
        for change in batch.changes:
            if batch.first:
                self._entries[change.key] = Entry(endpoints[change.key])
            else:
                self._take(change, endpoints.get(change.key), now)
        for key in batch.no_longer_invalid:
            if key in self._entries and isinstance(self._entries[key].held, InvalidValue):
                self._forget(key)
        for found in batch.invalid:
            self._forget(found.key)
            self._entries[found.key] = Entry(found, at=-math.inf if batch.first else now)

    def shown(self, room: int, now: float) -> tuple[Sequence[str], int]:
        """Return *room* keys in order, with those that changed lately, and how many are left."""
        for key in [key for key in self._gone if not self._is_recent(key, now)]:
            self._forget(key)
        if len(self._entries) <= room:
            return sorted(self._entries), 0
        chosen = dict.fromkeys(islice(self._recent(now), room))
        chosen.update(dict.fromkeys(nsmallest(room, self._entries)))
        return sorted(islice(chosen, room)), len(self._entries) - room

    def leases(self, keys: Iterable[str]) -> Sequence[int]:
        """Return the leases that the endpoints with these *keys* hang on."""
        there = (self._entries[key].held.lease for key in keys if key not in self._gone)
        return [*dict.fromkeys(filter(None, there))]

    def rows(self, keys: Iterable[str], remaining: Mapping[int, int], now: float) -> Iterator[Row]:
        """Yield sign, key, address, lease, its seconds, time of the last change, and metadata."""
        for key in keys:
            held, word, at = self._entries[key]
            clock = time.strftime("%H:%M:%S", time.localtime(at)) if at > 0 else ""
            if isinstance(held, InvalidValue):
                shown, reason = rows.unreadable(held).cells
                yield Row((UNREADABLE, shown, "not an endpoint", "", "", clock, reason), "red")
            else:
                lately = word if self._is_recent(key, now) else ""
                *cells, metadata = rows.endpoint(held, remaining).cells
                sign, style = SIGNS.get(lately, ""), rows.EFFECT_STYLES.get(lately, "")
                yield Row((sign, *cells, clock, metadata), style)

    def fades(self, now: float) -> float:
        """Return the seconds until something stands out no longer."""
        recent = (self._entries[key].at for key in self._recent(now))
        return min(recent, default=math.inf) + RECENT - now

    def _take(self, change: Change, stored: StoredEndpoint | None, now: float) -> None:
        held = change.previous if change.endpoint is None else stored
        if held is None:  # what was put is deleted again by another change of the batch
            return
        self._forget(change.key)
        self._entries[change.key] = Entry(held, effect(change), now)
        if change.endpoint is None:
            self._gone.add(change.key)

    def _forget(self, key: str) -> None:
        self._entries.pop(key, None)
        self._gone.discard(key)

    def _is_recent(self, key: str, now: float) -> bool:
        return now - self._entries[key].at < RECENT

    def _recent(self, now: float) -> Iterator[str]:
        """Yield the keys that have changed lately, the latest first."""
        return takewhile(lambda key: self._is_recent(key, now), reversed(self._entries))
