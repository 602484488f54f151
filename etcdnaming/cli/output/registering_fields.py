"""``lease-register -w fields``: a block of lines for each change of state."""

from __future__ import annotations

from collections.abc import Iterator

from . import blocks
from .registering import StateChange

__all__ = ["FieldsLines"]


class FieldsLines:
    """See `Lines`."""

    def changed(self, change: StateChange) -> Iterator[str]:
        """Yield what applies to it."""
        yield blocks.line("Type", change.type)
        event = change.event
        if event.key:
            yield blocks.text("Key", event.key)
        if event.endpoint is not None:
            yield from blocks.endpoint(event.endpoint)
        numbers = (event.revision, event.lease, event.holder, event.ttl)
        for name, number in zip(("Revision", "Lease", "Holder", "TTL"), numbers, strict=True):
            if number:
                yield blocks.line(name, number)
        if event.reason:
            yield blocks.text("Reason", event.reason)
        yield "\n"

    def complete(self) -> Iterator[str]:
        """Yield nothing: each key has been told."""
        yield from ()
