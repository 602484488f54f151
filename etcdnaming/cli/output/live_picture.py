"""The picture of a live table: told by one thread, drawn for any size of terminal by another."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...model import ChangeBatch, StoredEndpoint, WatchState
from .grid import Row
from .live_frame import Columns, drawn
from .live_status import Status
from .live_view import View

__all__ = ["Picture"]

PATIENCE = 0.3
"""Seconds. Who tells us may have been stopped in the middle of it by a signal that ends us."""


class _Shown(NamedTuple):
    """Rows that fit, how many don't, what stands below; and the leases of the rows."""

    rows: Sequence[Row]
    hidden: int
    below: Sequence[tuple[str, str]]
    leases: Sequence[int] = ()


class Picture:
    """What is known belongs to `_lock`, what was drawn to the thread that draws."""

    def __init__(self, target: str) -> None:
        self._lock = threading.Lock()
        self._view, self._status = View(), Status(target)
        self._columns = Columns()
        self._shown = _Shown((), 0, ())
        self._fades = 0.0

    @property
    def leases(self) -> Sequence[int]:
        """Those that were drawn last, while somebody knows what has become of them."""
        return self._shown.leases

    def tell(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Take what is there, or has changed."""
        with self._lock:
            self._view.tell(batch, endpoints, time.time())

    def state(self, state: WatchState) -> None:
        """Take whether that is up to date."""
        with self._lock:
            self._status = self._status._replace(state=state, since=time.time())

    def draw(
        self, size: os.terminal_size, remaining: Mapping[int, int], *, last: bool
    ) -> tuple[str, float]:
        """Return it, and the seconds until it looks different by itself."""
        width = size.columns - 1  # after a text in the last column, some begin the next line
        if self._lock.acquire(timeout=PATIENCE):
            try:
                self._look(width, size.lines, remaining, last=last)
            finally:
                self._lock.release()
        rows, hidden, below, _ = self._shown
        lines = self._columns.lines(rows, width) if rows else []
        if hidden:
            lines.append((f"   and {hidden} more"[:width], "dim"))
        if lines:
            lines.append(("", ""))
        return drawn([*lines, *below][: size.lines]), self._fades

    def _look(self, width: int, height: int, remaining: Mapping[int, int], *, last: bool) -> None:
        now = time.time()
        below = self._status.lines(self._view, width, last=last)
        room = height - len(below) - 2  # the header, and a blank line
        keys, hidden = self._view.shown(max(1, room), now)
        if hidden:
            keys, hidden = self._view.shown(max(1, room - 1), now)
        leases = self._view.leases(keys) if self._status.is_connected else ()
        rows = [*self._view.rows(keys, remaining, now)]
        self._shown = _Shown(rows, hidden, below, leases)
        self._fades = self._view.fades(now)
