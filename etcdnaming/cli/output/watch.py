"""How ``watch`` prints: line by line in every format, or as a live table on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from .printers import printer
from .stdout import flush, write

if TYPE_CHECKING:
    from ...model import ChangeBatch, StoredEndpoint, WatchState

__all__ = ["LinePrinter", "WatchPrinter", "live_printer"]


class WatchPrinter(Protocol):
    """Prints the batches of a watch; everything is written when a method returns."""

    def print_batch(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Print the first set, or what has changed; *endpoints*: all endpoints after it, by key."""

    def print_state(self, state: WatchState) -> None:
        """Print that the connection was lost or restored; only a live table does."""

    def begin(self) -> None:
        """Take over the terminal, if this printer needs it."""

    def end(self) -> None:
        """Restore the terminal; callable at any time, also from a signal handler."""


class LinePrinter:
    """Prints each batch in the format *name*, and flushes; see `WatchPrinter`."""

    def __init__(self, name: str, target: str) -> None:
        self._printer, self._target = printer(name), target

    def print_batch(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Write the lines of *batch*, unless it is empty."""
        if batch.first or batch.changes or batch.invalid:
            write(self._printer.batch_lines(self._target, batch, endpoints))
            flush()

    def print_state(self, state: WatchState) -> None:
        """Nothing: the state is reported on stderr."""

    def begin(self) -> None:
        """Nothing to take over."""

    def end(self) -> None:
        """Nothing to restore."""


def live_printer(target: str, time_to_live: Callable[[int], int]) -> WatchPrinter:
    """
    Return the table that stays on the terminal and is redrawn.

    *time_to_live* returns the remaining seconds of a lease (-1: gone); other threads call it.
    """
    from .live import LiveTable  # imports rich

    return LiveTable(target, time_to_live)
