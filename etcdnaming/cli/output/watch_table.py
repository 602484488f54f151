"""``watch -w table`` where nothing can be drawn over: a small table for each batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.text import Text

from ...model import Change, ChangeBatch, StoredEndpoint, Update
from . import rows
from .counting import counted
from .drawing import draw
from .events import subject, word
from .grid import Grid, Row
from .spelling import escape
from .watch_lines import WatchLines

__all__ = ["STYLES", "TableWatch"]

FIRST = ("KEY", "ADDR", "LEASE", "METADATA")
CHANGES = ("CHANGE", *FIRST)

STYLES = {"added": "green", "changed": "yellow", "removed": "red", "renewed": ""}
"""By what has become of an endpoint."""


class TableWatch(WatchLines):
    """See `WatchPrinter`."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._begun = False

    def lines(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> Iterator[str]:
        """Yield what is there or has changed, what can't be read, and what it is all about."""
        if self._begun:
            yield "\n"
        self._begun = True
        found = Grid(FIRST, _first(batch)) if batch.first else Grid(CHANGES, _rows(batch.changes))
        unreadable = Grid(rows.UNREADABLE, map(rows.unreadable, batch.invalid))
        yield draw(found, unreadable, Text(self._summary(batch), "dim"))

    def _summary(self, batch: ChangeBatch) -> str:
        count = counted(len(batch.changes), "endpoint" if batch.first else "change")
        how = ", found by reading again" if batch.resync else ""
        return f"{count} under {escape(self._target)}, revision {batch.revision}{how}"


def _first(batch: ChangeBatch) -> Iterator[Row]:
    return (Row(_cells(change)) for change in batch.changes)


def _rows(changes: Iterable[Change]) -> Iterator[Row]:
    for change in changes:
        yield Row((word(change), *_cells(change)), STYLES[word(change)])
        if change.previous is None or change.endpoint is None:
            continue
        before = rows.previous(change.previous)
        if before.cells[1:] != _cells(change):
            yield before


def _cells(change: Change) -> tuple[str, ...]:
    endpoint, lease = subject(change)
    return tuple(rows.update(Update.add(change.key, endpoint, lease=lease)).cells[1:])
