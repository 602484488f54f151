"""What ``watch`` prints: each format is a small printer here too, and a live table is the fifth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ...model import ChangeBatch, StoredEndpoint, WatchState

__all__ = ["WatchPrinter", "live_printer", "watch_printer"]


class WatchPrinter(Protocol):
    """
    One format. What it was told is out when it returns.

    *endpoints* is what is there after a batch, by key.
    """

    def tell(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """What was there when the watch began, or what has changed since."""

    def state(self, state: WatchState) -> None:
        """The connection was lost or found, which only a live table shows."""

    def begin(self) -> None:
        """Take the terminal, if that is what it takes."""

    def end(self) -> None:
        """Give it back; also if a signal came before it was taken, or while it was."""


def watch_printer(name: str, target: str) -> WatchPrinter:
    """Return the printer of the format *name*, one of `FORMATS`; only that one is loaded."""
    if name == "fields":
        from .watch_fields import FieldsWatch

        return FieldsWatch()
    if name == "json":
        from .watch_jsonlines import JSONLinesWatch

        return JSONLinesWatch()
    if name == "simple":
        from .watch_simple import SimpleWatch

        return SimpleWatch()
    if name == "table":
        from .watch_table import TableWatch

        return TableWatch(target)
    raise ValueError(f"there is no format {name!r}")


def live_printer(target: str, time_to_live: Callable[[int], int]) -> WatchPrinter:
    """
    Return the table that stays on the terminal and changes.

    *time_to_live* returns the seconds a lease has left, -1 if it is gone; other threads call it.
    """
    from .live import LiveTable  # a door to rich

    return LiveTable(target, time_to_live)
