"""``watch -w json``: for programs. The objects are in `events`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...model import ChangeBatch, StoredEndpoint
from .events import objects_of
from .spelling import safe_json
from .watch_lines import WatchLines

__all__ = ["JSONLinesWatch"]


class JSONLinesWatch(WatchLines):
    """See `WatchPrinter`."""

    def lines(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> Iterator[str]:
        """Yield an object a line."""
        return (f"{safe_json(each)}\n" for each in objects_of(batch))
