"""``watch -w simple``: ``PUT KEY ADDR METADATA``, separated by tabs; DELETE says what went away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...model import ChangeBatch, StoredEndpoint
from ...wire import dumps
from .events import kind, subject
from .spelling import escape, safe_json
from .watch_lines import WatchLines

__all__ = ["SimpleWatch"]


class SimpleWatch(WatchLines):
    """See `WatchPrinter`."""

    def lines(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> Iterator[str]:
        """Yield a line for each change."""
        for change in batch.changes:
            endpoint, _ = subject(change)
            metadata = safe_json(dumps(endpoint.metadata))
            yield f"{kind(change)}\t{escape(change.key)}\t{escape(endpoint.addr)}\t{metadata}\n"
