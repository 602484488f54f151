"""``lease-register -w json``: an object a line, of which every member is always there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from . import objects
from .registering import StateChange
from .spelling import safe_json

__all__ = ["JSONLines"]


class JSONLines:
    """See `Lines`."""

    def changed(self, change: StateChange) -> Iterator[str]:
        """Yield one object."""
        at = datetime.fromtimestamp(change.at, timezone.utc).isoformat(timespec="milliseconds")
        yield f"{safe_json(objects.state_change(change, at.replace('+00:00', 'Z')))}\n"

    def complete(self) -> Iterator[str]:
        """Yield nothing: each key has been told."""
        yield from ()
