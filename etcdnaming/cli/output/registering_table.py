"""``lease-register -w table``: when, what, and about what, for a person who looks on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TextIO

from rich.text import Text

from ...printable import printable
from ...registration.event import RegistrationEvent
from .drawing import draw
from .registering import StateChange
from .spelling import escape, lease_id

__all__ = ["TableLines"]

STYLES = {
    "granted": "dim",
    "registered": "green",
    "regained": "green",
    "healthy": "green",
    "changed": "yellow",
    "waiting": "yellow",
    "deleted": "yellow",
    "taken_over": "yellow",
    "lost": "red",
    "unhealthy": "red",
    "conflict": "red",
    "error": "red",
}
WIDTH = max(map(len, STYLES))


class TableLines:
    """See `Lines`."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def changed(self, change: StateChange) -> Iterator[str]:
        """Yield one line."""
        clock = time.strftime("%H:%M:%S", time.localtime(change.at))
        kind = Text(change.type.replace("_", " ").ljust(WIDTH), STYLES.get(change.type, ""))
        about = "  ".join(_facts(change.event))
        yield draw(Text.assemble((clock, "dim"), "  ", kind, "  ", about), stream=self._stream)

    def complete(self) -> Iterator[str]:
        """Yield nothing: each key has been told."""
        yield from ()


def _facts(event: RegistrationEvent) -> Iterator[str]:
    if event.key:
        yield escape(event.key)
    if event.endpoint is not None:
        yield escape(event.endpoint.addr)
    if event.ttl:
        yield f"TTL({event.ttl}s)"
    if event.lease:
        yield f"lease {lease_id(event.lease)}"
    if event.holder:
        yield f"held by lease {lease_id(event.holder)}"
    if event.seconds:
        yield f"after {event.seconds:.1f}s"
    if event.reason:
        yield printable(event.reason)
