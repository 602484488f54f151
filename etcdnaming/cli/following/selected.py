"""A watch of the endpoints that a selector matches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...model import Change, ChangeBatch, Operation, StoredEndpoint
from ..selector import Selector
from .follow import Batches

__all__ = ["SelectedWatch"]


class SelectedWatch:
    """
    The batches of *watch* as if etcd held only what *selector* matches.

    An endpoint that begins to match is added, one that ceases to match is deleted.
    """

    def __init__(self, watch: Batches, selector: Selector) -> None:
        self._watch, self._selector = watch, selector

    @property
    def endpoints(self) -> Mapping[str, StoredEndpoint]:
        """The selected endpoints after the last batch."""
        return _Selected(self._watch.endpoints, self._selector)

    def get(self, timeout: float | None = None) -> ChangeBatch | None:
        """Return the next batch, which may have no changes; ``None`` after *timeout* seconds."""
        batch = self._watch.get(timeout)
        if batch is None:
            return None
        changes = [seen for each in batch.changes for seen in self._seen(each)]
        return batch._replace(changes=changes)

    def _seen(self, change: Change) -> Iterator[Change]:
        previous = change.previous
        if previous is not None and not self._selector.matches(previous.endpoint):
            previous = None
        if change.endpoint is not None and self._selector.matches(change.endpoint):
            yield change._replace(previous=previous)
        elif previous is not None:
            yield change._replace(op=Operation.DELETE, endpoint=None, lease=0, previous=previous)


class _Selected(Mapping[str, StoredEndpoint]):
    """A view, because a copy for each batch would be slow for many endpoints."""

    def __init__(self, endpoints: Mapping[str, StoredEndpoint], selector: Selector) -> None:
        self._endpoints, self._selector = endpoints, selector

    def __getitem__(self, key: str) -> StoredEndpoint:
        stored = self._endpoints[key]
        if not self._selector.matches(stored.endpoint):
            raise KeyError(key)
        return stored

    def __iter__(self) -> Iterator[str]:
        return (
            key for key, each in self._endpoints.items() if self._selector.matches(each.endpoint)
        )

    def __len__(self) -> int:
        return sum(1 for _ in self)
