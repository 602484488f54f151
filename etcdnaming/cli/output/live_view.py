"""What a live table shows: the endpoints, and what became of them in the last seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from itertools import islice, takewhile
from typing import NamedTuple

from ...model import Change, ChangeBatch, InvalidValue, StoredEndpoint
from . import rows
from .events import word
from .grid import Row
from .watch_table import STYLES

__all__ = ["RECENT", "View"]

RECENT = 15.0
"""Seconds for which a change stands out, and what was removed is still shown."""

SIGNS = {"added": "+", "changed": "~", "removed": "-", "renewed": "="}
UNREADABLE = "!"


class Mark(NamedTuple):
    """What became of an endpoint, and when, by the clock."""

    word: str
    at: float


class View:
    """
    The endpoints as far as they are to be shown; *now* is always the time by the clock.

    What is there at the beginning is only told by a first batch, so without one, only changes show.
    """

    def __init__(self) -> None:
        self.count = self.revision = 0
        self._there: dict[str, StoredEndpoint] = {}
        self._gone: dict[str, StoredEndpoint] = {}
        self._unreadable: dict[str, InvalidValue] = {}
        self._marks: dict[str, Mark] = {}  # the latest last

    def tell(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint], now: float) -> None:
        """Take *batch*, after which there are *endpoints*."""
        self.count, self.revision = len(endpoints), batch.revision
        if batch.first:
            self._there = dict(endpoints)
        else:
            for change in batch.changes:
                self._take(change, endpoints.get(change.key), now)
        for found in batch.invalid:
            self._gone.pop(found.key, None)
            self._unreadable[found.key] = found

    def shown(self, room: int, now: float) -> tuple[Sequence[str], int]:
        """Return *room* keys in order, with those that changed lately, and how many are left."""
        self._forget_gone(now)
        keys = self._there.keys() | self._gone.keys() | self._unreadable.keys()
        if len(keys) <= room:
            return sorted(keys), 0
        chosen = dict.fromkeys(islice((key for key, _ in self._recent(now)), room))
        chosen.update(dict.fromkeys(nsmallest(room, keys)))
        return sorted(islice(chosen, room)), len(keys) - room

    def leases(self, keys: Iterable[str]) -> Sequence[int]:
        """Return the leases that the endpoints with these *keys* hang on."""
        found = (self._there[key].lease for key in keys if key in self._there)
        return [*dict.fromkeys(filter(None, found))]

    def rows(self, keys: Iterable[str], remaining: Mapping[int, int], now: float) -> Iterator[Row]:
        """Yield sign, key, address, lease, its seconds, time of the last change, and metadata."""
        for key in keys:
            mark = self._marks.get(key)
            at = time.strftime("%H:%M:%S", time.localtime(mark.at)) if mark else ""
            if key in self._unreadable:
                cells = rows.unreadable(self._unreadable[key]).cells
                yield Row((UNREADABLE, cells[0], "not an endpoint", "", "", at, cells[1]), "red")
                continue
            stored = self._there.get(key) or self._gone[key]
            *cells, metadata = rows.endpoint(stored, remaining).cells
            lately = mark.word if mark and now - mark.at < RECENT else ""
            yield Row((SIGNS.get(lately, ""), *cells, at, metadata), STYLES.get(lately, ""))

    def fades(self, now: float) -> float:
        """Return the seconds until something stands out no longer."""
        return min((mark.at + RECENT - now for _, mark in self._recent(now)), default=math.inf)

    def _take(self, change: Change, stored: StoredEndpoint | None, now: float) -> None:
        key = change.key
        for known in (self._there, self._gone, self._unreadable, self._marks):
            known.pop(key, None)
        if stored is not None:
            self._there[key] = stored
        elif change.previous is not None:
            self._gone[key] = change.previous
        self._marks[key] = Mark(word(change), now)

    def _recent(self, now: float) -> Iterator[tuple[str, Mark]]:
        """Yield what has changed lately, the latest first."""
        return takewhile(lambda each: now - each[1].at < RECENT, reversed(self._marks.items()))

    def _forget_gone(self, now: float) -> None:
        for key in [key for key in self._gone if now - self._marks[key].at >= RECENT]:
            del self._gone[key], self._marks[key]
