"""
The changes of a target's endpoints and what they replaced: the current set first, then for ever.

Where Go's watch ends at its first error, this one goes on; where etcd can't tell what was missed,
the differences are worked out here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType, TracebackType

from .. import keys
from ..errors import ClosedError
from ..etcd import Client, rpc
from ..etcd.watch import Connected, Disconnected, Events, RangeWatch, Reading
from ..model import Change, ChangeBatch, InvalidValue, Operation, StoredEndpoint, WatchState
from .decoding import stored_endpoints

__all__ = ["Watch"]

_DELETE = rpc.Event.DELETE


class Watch:
    """
    Batches of changes of *target*: an iterator that ends when it is closed, and by nothing else.

    One thread takes the batches; any may close it, which ends the taking at once.

    Args:
        revision: Begin with the changes of this revision, and leave out the first set. 0: begin
            with all there is now.

        shared: It is one of many of this client, and carried by the stream of those.

        on_state: Called, by the thread that takes, when the connection is lost and found.

    Raises:
        InvalidTargetError: *target* is empty, or only slashes.
    """

    def __init__(
        self,
        client: Client,
        target: str,
        *,
        revision: int = 0,
        shared: bool = False,
        on_state: Callable[[WatchState], None] = lambda _: None,
    ) -> None:
        start, end = keys.range_of(target)
        self._set = _EndpointSet()
        self._from = revision
        self._on_state = on_state
        self._range = RangeWatch(client, start, end, revision=revision, shared=shared)

    @property
    def endpoints(self) -> Mapping[str, StoredEndpoint]:
        """What is there after the last batch, by key; for the thread that takes the batches."""
        return MappingProxyType(self._set.endpoints)

    def get(self, timeout: float | None = None) -> ChangeBatch | None:
        """
        Return the next batch; ``None`` if there is none for *timeout* seconds.

        Raises:
            PermissionDeniedError, CompactedError, …: It can't go on, and no retry heals that.
            ClosedError: It was closed.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            news = self._range.get(left)
            if news is None:
                return None
            batch = self._batch(news)
            if batch is not None:
                return batch

    def close(self) -> None:
        """End it, at once and from any thread."""
        self._range.close()

    def __iter__(self) -> Iterator[ChangeBatch]:
        return self

    def __next__(self) -> ChangeBatch:
        try:
            while True:
                if batch := self.get():
                    return batch
        except ClosedError:
            raise StopIteration from None

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _batch(self, news: Reading | Events | Connected | Disconnected) -> ChangeBatch | None:
        if isinstance(news, Events):
            return self._apply(news.events)
        if isinstance(news, Connected):
            self._on_state(WatchState(connected=True, detail=news.member))
            return None
        if isinstance(news, Disconnected):
            self._on_state(WatchState(connected=False, detail=news.reason))
            return None
        return self._replace(news)

    def _apply(self, events: Sequence[rpc.Event]) -> ChangeBatch | None:
        if self._from:
            early = sum(event.kv.mod_revision < self._from for event in events)
            self._set.apply(events[:early])
            events = events[early:]
        if events:
            self._from = 0
        return _worth_telling(self._set.apply(events))

    def _replace(self, reading: Reading) -> ChangeBatch | None:
        batch, wanted = self._set.replace(reading), self._from
        if batch.revision >= wanted - 1:
            self._from = 0  # from here on all is wanted, even if another history begins with 1
        if batch.first:
            return None if wanted else batch
        return _worth_telling(batch) if batch.revision >= wanted else None


class _EndpointSet:
    """What is there, by key, and what has to change for it to become what etcd says."""

    def __init__(self) -> None:
        self.endpoints: dict[str, StoredEndpoint] = {}
        self._invalid: dict[str, InvalidValue] = {}

    def apply(self, events: Iterable[rpc.Event]) -> ChangeBatch:
        """Make the changes of *events*, one after another."""
        changes: list[Change | None] = []
        invalid: list[InvalidValue] = []
        revision, were_invalid = 0, [*self._invalid]
        put = iter(stored_endpoints([each.kv for each in events if each.type != _DELETE]))
        for event in events:
            revision = event.kv.mod_revision
            if event.type == _DELETE:
                changes.append(self._remove(keys.decode(event.kv.key), revision))
                continue
            stored = next(put)
            if isinstance(stored, InvalidValue):
                changes.append(self._spoil(stored, revision))
                invalid.append(stored)
            else:
                changes.append(self._put(stored, revision))
        told = [each for each in changes if each]
        return ChangeBatch(revision, told, invalid, no_longer_invalid=self._valid(were_invalid))

    def replace(self, reading: Reading) -> ChangeBatch:
        """Become what *reading* shows; the changes are the differences, what went away first."""
        revision, were_invalid = reading.snapshot.header.revision, [*self._invalid]
        read = [*stored_endpoints(reading.snapshot.found)]
        there = {stored.key for stored in read}
        gone = [key for key in (*self.endpoints, *self._invalid) if key not in there]
        changes = [self._remove(key, revision) for key in gone]
        invalid: list[InvalidValue] = []
        if reading.again:
            read.sort(key=lambda stored: stored.mod_revision)
        for stored in read:
            if isinstance(stored, InvalidValue):
                if self._invalid.get(stored.key) != stored:
                    changes.append(self._spoil(stored, revision))
                    invalid.append(stored)
            elif self.endpoints.get(stored.key) != stored:
                changes.append(self._put(stored, revision))
        again = reading.again
        told = [each for each in changes if each]
        valid = self._valid(were_invalid)
        return ChangeBatch(revision, told, invalid, not again, again, valid)

    def _put(self, stored: StoredEndpoint, revision: int) -> Change:
        previous = self.endpoints.get(stored.key)
        self.endpoints[stored.key] = stored
        self._invalid.pop(stored.key, None)
        return Change(Operation.ADD, stored.key, revision, stored.endpoint, stored.lease, previous)

    def _spoil(self, stored: InvalidValue, revision: int) -> Change | None:
        """An endpoint whose value can't be read any more is no endpoint."""
        change = self._remove(stored.key, revision)
        self._invalid[stored.key] = stored
        return change

    def _valid(self, among: Iterable[str]) -> tuple[str, ...]:
        return tuple(key for key in among if key not in self._invalid)

    def _remove(self, key: str, revision: int) -> Change | None:
        self._invalid.pop(key, None)
        previous = self.endpoints.pop(key, None)
        if previous is None:
            return None
        return Change(Operation.DELETE, key, revision, None, 0, previous)


def _worth_telling(batch: ChangeBatch) -> ChangeBatch | None:
    return batch if batch.changes or batch.invalid or batch.no_longer_invalid else None
