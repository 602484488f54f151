"""What the printers of a watch have in common that write lines: every batch is out at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...model import ChangeBatch, StoredEndpoint, WatchState
from .stdout import flush, write

__all__ = ["WatchLines"]


class WatchLines:
    """See `WatchPrinter`; a format says what the `lines` of a batch are."""

    def lines(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> Iterable[str]:
        """Return what to write of *batch*."""
        raise NotImplementedError

    def tell(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Write what is there, or has changed."""
        if batch.first or batch.changes or batch.invalid:
            write(self.lines(batch, endpoints))
            flush()

    def state(self, state: WatchState) -> None:
        """Stderr is told."""

    def begin(self) -> None:
        """Nothing is needed."""

    def end(self) -> None:
        """Nothing is left."""
