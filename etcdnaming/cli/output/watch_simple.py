"""``watch -w simple``: ``PUT KEY ADDR METADATA``, separated by tabs; DELETE says what went away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...model import ChangeBatch, StoredEndpoint
from .events import kind, subject
from .simple import line
from .watch_lines import WatchLines

__all__ = ["SimpleWatch"]


class SimpleWatch(WatchLines):
    """See `WatchPrinter`."""

    def lines(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> Iterator[str]:
        """Yield a line for each change."""
        for change in batch.changes:
            yield f"{kind(change)}\t{line(change.key, subject(change)[0])}"
