"""Lay out the live table: its rows, recent changes, the status lines below, and its columns."""

from __future__ import annotations

import math
import os
import textwrap
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, takewhile
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ...model import Change, ChangeBatch, InvalidValue, StoredEndpoint, WatchState
from ...printable import printable
from .grid import EFFECT_STYLES, GAP, Row, draw, endpoint_row
from .order import natural
from .spelling import counted, effect, escape

__all__ = ["Columns", "Line", "Picture", "draw_lines", "prepare"]

RECENT = 15.0
"""Seconds for which a change is highlighted, and a removed endpoint is still shown."""

SIGNS = {"added": "+", "changed": "~", "removed": "-", "renewed": "="}
UNREADABLE = "!"

PROMPT = 2
"""Lines for the shell's prompt below the last frame; with Ctrl-C, shells begin a new line."""

LOCK_TIMEOUT = 0.3
"""Seconds. A signal that ends the process may have interrupted the thread that holds the lock."""


SIGN, KEY, ADDR, LEASE, TTL, CHANGED, METADATA = range(7)
HEADER = ("", "KEY", "ADDR", "LEASE", "TTL", "CHANGED", "METADATA")

LAYOUTS = (
    (SIGN, KEY, ADDR, LEASE, TTL, CHANGED, METADATA),
    (SIGN, KEY, ADDR, LEASE, TTL, METADATA),
    (SIGN, KEY, ADDR, LEASE, METADATA),
    (SIGN, KEY, ADDR, METADATA),
    (SIGN, KEY, ADDR),
)
"""From wide to narrow; the first one that fits is used. In the last one, ADDR is cut last."""

MIN_METADATA = 10
"""Columns; metadata that gets less is left out."""

LONG = 60
"""Columns. One KEY or ADDR that is longer must not take the other columns from all rows."""


class _Shown(NamedTuple):
    """The rows that fit, what is said of the others, the status lines, the leases of the rows."""

    rows: Sequence[Row]
    others: str
    below: Sequence[Line]
    leases: Sequence[int] = ()


class Picture:
    """
    The current contents of the live table, drawn for any size of the terminal.

    One thread passes in batches and states, one scrolls, and another one draws. `_lock` guards the
    state that the others change. The state of the last frame belongs to the thread that draws.
    """

    def __init__(self, target: str, *, headers: bool = True) -> None:
        self._headers = headers
        self._lock = threading.Lock()
        self._rows, self._status = _RecentRows(), _Status(target)
        self._columns = Columns()
        self._first = 0  # the number of the rows above the first one that is shown
        self._shown = _Shown((), "", ())
        self._lasts = 0.0

    @property
    def leases(self) -> Sequence[int]:
        """The leases in the last frame; none while the watch is disconnected."""
        return self._shown.leases

    def batch(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Add the first set, or changes; *endpoints*: those after the batch."""
        with self._lock:
            self._rows.batch(batch, endpoints, time.time())

    def state(self, state: WatchState) -> None:
        """Set the state of the connection."""
        with self._lock:
            before = self._status.state
            if before is None or before.connected != state.connected:  # else another reason
                self._status = self._status._replace(since=time.time())
            self._status = self._status._replace(state=state)

    def scroll(self, rows: int, pages: int) -> None:
        """Show other rows: *rows* and *pages* further down, or further up if they are negative."""
        with self._lock:
            self._first = max(0, self._first + rows + pages * len(self._shown.rows))

    def draw(
        self, size: os.terminal_size, remaining: Mapping[int, int], *, last: bool
    ) -> tuple[str, float]:
        """Return the text, and the seconds until it changes without a new batch."""
        width = size.columns - 1  # some terminals wrap the line after text in the last column
        height = max(1, size.lines - (PROMPT if last else 0))
        if self._lock.acquire(timeout=LOCK_TIMEOUT):
            try:
                self._lay_out(width, height, remaining, last=last)
            finally:
                self._lock.release()
        shown, others, below, _ = self._shown
        lines = self._columns.lines(shown, width) if shown else []
        if not self._headers:
            del lines[:1]
        if others:
            lines.append(Line(f"   {others}"[:width], "dim"))
        if lines:
            lines.append(Line())
        return draw_lines([*lines, *below][:height]), self._lasts

    def _lay_out(
        self, width: int, height: int, remaining: Mapping[int, int], *, last: bool
    ) -> None:
        now = time.time()
        below = self._status.lines(self._rows, width, last=last)
        room = height - len(below) - 1 - self._headers  # a blank line, and the header
        keys, hidden = self._rows.select(max(1, room), now, 0)
        others = ""
        if hidden:
            self._first = min(self._first, len(keys) + hidden - max(1, room - 1))
            keys, hidden = self._rows.select(max(1, room - 1), now, self._first)
            others = f"and {hidden} more"
            if self._first:
                others = f"{self._first} above, {hidden - self._first} below"
        else:
            self._first = 0
        leases = self._rows.leases(keys) if self._status.is_connected else ()
        self._shown = _Shown([*self._rows.rows(keys, remaining, now)], others, below, leases)
        self._lasts = self._rows.lasts(now)


class _KeyState(NamedTuple):
    """The value of a key (of a removed one, the last), its last effect, and when that was."""

    value: StoredEndpoint | InvalidValue
    effect: str = ""
    at: float = -math.inf


class _RecentRows:
    """
    The endpoints and their recent changes; *now* is always the wall-clock time.

    Only a first batch has the initial endpoints: without one, only changes are shown.
    """

    def __init__(self) -> None:
        self.count = self.revision = 0
        self.resynced: float | None = None
        """When etcd was read again, because changes were lost."""
        self._states: dict[str, _KeyState] = {}  # the latest change is the last
        self._removed: set[str] = set()
        self._order: Sequence[tuple[Any, ...]] = ()  # as `_sorted` returned it last
        self._is_unsorted = False

    def batch(
        self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint], now: float
    ) -> None:
        """Add *batch*; *endpoints*: those after it."""
        self.count, self.revision = len(endpoints), batch.revision
        self._is_unsorted = True
        if batch.resync:
            self.resynced = now
        for change in batch.changes:
            if batch.first:
                self._states[change.key] = _KeyState(endpoints[change.key])
            else:
                self._change(change, endpoints.get(change.key), now)
        for key in batch.no_longer_invalid:
            if key in self._states and isinstance(self._states[key].value, InvalidValue):
                self._forget(key)
        for found in batch.invalid:
            self._forget(found.key)
            self._states[found.key] = _KeyState(found, at=-math.inf if batch.first else now)

    def select(self, room: int, now: float, first: int) -> tuple[Sequence[str], int]:
        """
        Return at most *room* keys, in natural order, and the number of the others.

        Keys with a recent change are preferred, unless *first* rows are skipped.
        """
        for key in [key for key in self._removed if not self._is_recent(key, now)]:
            self._forget(key)
        page = [each[-1] for each in self._sorted()[first : first + room]]
        if first or len(self._states) <= room:
            return page, len(self._states) - len(page)
        chosen = dict.fromkeys([*islice(self._recent(now), room), *page])
        return sorted(islice(chosen, room), key=natural), len(self._states) - room

    def leases(self, keys: Iterable[str]) -> Sequence[int]:
        """Return the leases of the endpoints with these *keys*."""
        present = (self._states[key].value.lease for key in keys if key not in self._removed)
        return [*dict.fromkeys(filter(None, present))]

    def rows(self, keys: Iterable[str], remaining: Mapping[int, int], now: float) -> Iterator[Row]:
        """Yield sign, key, address, lease, its seconds, time of the last change, and metadata."""
        for key in keys:
            value, last_effect, at = self._states[key]
            clock = _clock(at) if at > 0 else ""
            if isinstance(value, InvalidValue):
                shown, reason = escape(value.key), printable(value.reason)
                yield Row((UNREADABLE, shown, "not an endpoint", "", "", clock, reason), "red")
            else:
                recent = last_effect if self._is_recent(key, now) else ""
                *cells, metadata = endpoint_row(value, remaining).cells
                sign, style = SIGNS.get(recent, ""), EFFECT_STYLES.get(recent, "")
                yield Row((sign, *cells, clock, metadata), style)

    def lasts(self, now: float) -> float:
        """Return the seconds until a recent change is no longer recent."""
        recent = (self._states[key].at for key in self._recent(now))
        return min(recent, default=math.inf) + RECENT - now

    def _change(self, change: Change, stored: StoredEndpoint | None, now: float) -> None:
        value = change.previous if change.endpoint is None else stored
        if value is None:  # another change of the batch has deleted the endpoint again
            return
        self._forget(change.key)
        self._states[change.key] = _KeyState(value, effect(change), now)
        if change.endpoint is None:
            self._removed.add(change.key)

    def _sorted(self) -> Sequence[tuple[Any, ...]]:
        """Return what `natural` returns for each key, sorted; the last item is the key."""
        if self._is_unsorted:
            kept = {each[-1]: each for each in self._order if each[-1] in self._states}
            added = (natural(key) for key in self._states if key not in kept)
            self._order = sorted([*kept.values(), *added])
            self._is_unsorted = False
        return self._order

    def _forget(self, key: str) -> None:
        self._is_unsorted = True
        self._states.pop(key, None)
        self._removed.discard(key)

    def _is_recent(self, key: str, now: float) -> bool:
        return now - self._states[key].at < RECENT

    def _recent(self, now: float) -> Iterator[str]:
        """Yield the keys with a recent change, the latest first."""
        return takewhile(lambda key: self._is_recent(key, now), reversed(self._states))


class _Status(NamedTuple):
    """The target, the state of the connection, and since when it is in that state."""

    target: str
    state: WatchState | None = None
    since: float = 0.0

    @property
    def is_connected(self) -> bool:
        """Whether changes arrive as they are made."""
        return self.state is not None and self.state.connected

    def lines(self, found: _RecentRows, room: int, *, last: bool) -> list[Line]:
        """Return lines of at most *room* columns; the *last* ones remain."""
        text = f"{counted(found.count, 'endpoint')} under {escape(self.target)}"
        text = f"{text}, revision {found.revision}" if found.revision else "waiting for etcd"
        if found.resynced is not None:
            text = f"{text}, resynced at {_clock(found.resynced)}"
        if self.is_connected and self.state and not last:
            text = f"{text}, connected to {printable(self.state.detail)}"
        outage = self._outage("disconnected" if found.revision else "not connected")
        return [*_wrapped(text, "dim", room), *_wrapped(outage, "red", room)]

    def _outage(self, what: str) -> str:
        if self.state is None or self.state.connected:
            return ""
        return f"{what} since {_clock(self.since)}: {printable(self.state.detail)}"


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _wrapped(text: str, style: str, room: int) -> list[Line]:
    return [Line(line, style) for line in textwrap.wrap(text, max(room, 1))]


class Line(NamedTuple):
    """A line and its style; its first character, the sign of a row, may have another one."""

    text: str = ""
    style: str = ""
    sign_style: str = ""


class Columns:
    """The widths of the columns. They only grow, so that columns don't jump when cells change."""

    def __init__(self) -> None:
        self._natural = [1, *map(len, HEADER[1:])]
        self._natural[TTL] = len("3600s")
        self._natural[CHANGED] = len("00:00:00")

    def lines(self, found: Sequence[Row], room: int) -> list[Line]:
        """
        Return the header and *found* as lines of at most *room* columns.

        A row with a style is bold, and only its sign has that style: see `Row`.
        """
        for row in found:
            wanted = map(cell_len, row.cells)
            self._natural = [max(*each) for each in zip(self._natural, wanted, strict=True)]
        layout, widths = self._layout(room)

        def text(row: Row) -> str:
            return _line([row.cells[column] for column in layout], layout, widths)

        rows = (Line(text(row), "bold" if row.style else "", row.style) for row in found)
        return [Line(text(Row(HEADER)), "bold"), *rows]

    def _layout(self, room: int) -> tuple[Sequence[int], Sequence[int]]:
        long = max(LONG, room // 3)
        for layout in LAYOUTS:
            left = room - len(GAP) * (len(layout) - 1)
            widths = self._narrowed(layout, left, {KEY: long, ADDR: long, METADATA: MIN_METADATA})
            if sum(widths) <= left:
                return layout, widths
        return layout, self._narrowed(layout, left, {KEY: max(1, room // 5), ADDR: 1})

    def _narrowed(
        self, layout: Sequence[int], room: int, least: Mapping[int, int]
    ) -> Sequence[int]:
        """Return the widths of *layout*, the columns in *least* narrowed in turn until all fit."""
        widths = {column: self._natural[column] for column in layout}
        for column in filter(widths.__contains__, least):
            surplus = max(0, sum(widths.values()) - room)
            narrowest = min(widths[column], least[column])
            widths[column] = max(narrowest, widths[column] - surplus)
        return [*widths.values()]


def draw_lines(lines: Sequence[Line]) -> str:
    """Return *lines* in their styles, as far as the terminal supports them."""
    text = Text("\n", no_wrap=True, overflow="ignore")
    return draw(text.join(map(_styled, lines)))


def prepare() -> None:
    """Import everything that drawing needs, and what rich imports only on first use."""
    cell_len("字")  # the table of character widths
    draw_lines([Line("", "dim")])


def _styled(line: Line) -> Text:
    text = Text(line.text, line.style)
    if line.sign_style:
        text.stylize(line.sign_style, 0, 1)
    return text


def _line(cells: Sequence[str], layout: Sequence[int], widths: Sequence[int]) -> str:
    cut = (_cut(*each) for each in zip(cells, layout, widths, strict=True))
    return GAP.join(cut).rstrip(" ")


def _cut(text: str, column: int, width: int) -> str:
    """Return *text* cut or padded to *width*; a key keeps its end, where keys differ."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    if column != KEY:
        return set_cell_size(text, width - 1) + "…"
    while cell_len(text) > width - 1:
        text = text[1:]
    return set_cell_size("…" + text, width)
