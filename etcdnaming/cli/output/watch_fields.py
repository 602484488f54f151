"""``watch -w fields``: etcdctl's lines of a watch, with ``Addr`` and ``Metadata`` for ``Value``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...model import Change, ChangeBatch, Endpoint, StoredEndpoint
from . import blocks
from .events import kind, states
from .watch_lines import WatchLines

__all__ = ["FieldsWatch"]


class FieldsWatch(WatchLines):
    """See `WatchPrinter`."""

    def lines(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> Iterator[str]:
        """Yield the revision, then of each change type, what was there, and what is there."""
        yield blocks.line("Revision", batch.revision)
        if batch.resync:
            yield blocks.line("Resync", "true")
        for change, stored in zip(batch.changes, states(batch.changes, endpoints), strict=True):
            yield blocks.line("Type", kind(change))
            yield from blocks.each([change.previous] if change.previous else [], "Prev")
            yield from blocks.each([stored or _nothing(change)])
        for found in batch.invalid:
            yield blocks.line("Type", "INVALID")
            yield from blocks.each([found])
        if batch.first:
            yield blocks.line("Type", "SYNCED")
            yield blocks.line("Count", len(batch.changes))


def _nothing(change: Change) -> StoredEndpoint:
    """Return what etcdctl shows of a key that was deleted: when, and else nothing."""
    return StoredEndpoint(change.key, Endpoint(""), 0, change.revision, 0, 0)
