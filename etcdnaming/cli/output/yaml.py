"""``yaml``: the objects of ``json`` as YAML documents, one for each object, ``---`` between two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...model import ChangeBatch, StoredEndpoint
from .jsonlines import JSONLinesPrinter
from .state_changes import StateChange
from .yaml_documents import YAMLDocuments

__all__ = ["YAMLPrinter"]


class YAMLPrinter(JSONLinesPrinter):
    """See `Printer`."""

    def __init__(self) -> None:
        self._documents = YAMLDocuments()

    def batch_lines(
        self, target: str, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]
    ) -> Iterator[str]:
        """A document for each event of the batch."""
        for line in super().batch_lines(target, batch, endpoints):
            yield from self._text([line])

    def state_lines(self, change: StateChange) -> Iterator[str]:
        """One document."""
        return self._text(super().state_lines(change))

    def _text(self, pieces: Iterable[str]) -> Iterator[str]:
        return self._documents.convert(pieces)
