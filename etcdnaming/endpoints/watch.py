"""
Watch the endpoints of a target: the current set first, then every change and what it replaced.

Go's watch ends at its first error; this one goes on. Where etcd can't report what was missed, the
differences are worked out here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import cast

from .. import keys
from ..errors import ClientClosedError, ClosedError, InheritedError
from ..etcd import Client
from ..etcd.known_keys import Events, RangeSnapshot
from ..etcd.range_watch_loop import RangeWatchLoop, WatchEvent
from ..fork import call_after_fork, inherited
from ..log import logger
from ..model import (
    Change,
    ChangeBatch,
    InvalidValue,
    Operation,
    StoredEndpoint,
    WatchState,
    build_many,
)
from .decoding import stored_endpoints

__all__ = ["Watch"]

_log = logger(__name__)


class Watch:
    """
    Batches of changes of *target*: an iterator that ends only when it is closed.

        >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
        >>> with manager.watch() as watch:
        ...     for batch in watch:
        ...         print([stored.endpoint.addr for stored in watch.endpoints.values()])
        ...         break  # a real watch goes on
        ['10.0.0.1:80']

    `EndpointManager.watch` makes it.

    One thread takes the batches; any may close it, which ends `get` at once.

    Args:
        revision: Begin with the changes of this revision, and leave out the first set. 0: begin
            with all endpoints.

        shared: It is one of many of this client, and shares their stream.

        on_state: Called, by the thread that takes, when the connection is lost and restored, and
            when it stays lost for another reason. Without it, that is logged.

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
        on_state: Callable[[WatchState], None] | None = None,
    ) -> None:
        start, end = keys.range_of(target)
        self._target = target
        self._set = _EndpointSet()
        self._from = revision
        self._on_state = self._log_state if on_state is None else on_state
        self._range = _RangeWatch(client, start, end, revision, shared=shared)

    @property
    def endpoints(self) -> Mapping[str, StoredEndpoint]:
        """
        The endpoints after the last batch, by key; for the thread that takes the batches.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> with manager.watch() as watch:
            ...     _ = watch.get()
            ...     [*watch.endpoints]
            ['foo/svc/e1']
        """
        return MappingProxyType(self._set.endpoints)

    def get(self, timeout: float | None = None) -> ChangeBatch | None:
        """
        Return the next batch; ``None`` if there is none for *timeout* seconds.

            >>> with manager.watch() as watch:
            ...     watch.get().first, watch.get(timeout=0.01)
            (True, None)

        Raises:
            PermissionDeniedError, CompactedError, …: No retry heals it.
            ClosedError: By `close`.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            event = self._range.get(left)
            if event is None:
                return None
            batch = self._batch(event)
            if batch is not None:
                return batch

    def close(self) -> None:
        """
        End it, at once and from any thread.

            >>> watch = manager.watch()
            >>> watch.close()
            >>> [*watch]
            []
        """
        self._range.close()

    def __iter__(self) -> Iterator[ChangeBatch]:
        return self

    def __next__(self) -> ChangeBatch:
        try:
            while True:
                if (batch := self.get()) is not None:
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

    def __repr__(self) -> str:
        return f"<Watch of {self._target}: {len(self._set.endpoints)} endpoints>"

    def _log_state(self, state: WatchState) -> None:
        if state.connected:
            _log.info("the watch of %s is connected to %s", self._target, state.detail)
        else:
            _log.warning("the watch of %s is disconnected: %s", self._target, state.detail)

    def _batch(self, event: WatchEvent) -> ChangeBatch | None:
        if isinstance(event, Events):
            return self._apply(event)
        if isinstance(event, WatchState):
            self._on_state(event)
            return None
        return self._replace(event)

    def _apply(self, events: Events) -> ChangeBatch | None:
        if self._from:
            number = len(events.keys)
            early = sum(kv.mod_revision < self._from for kv in events.keys)
            self._set.apply(events.only(range(early)))
            events = events.only(range(early, number))
            if early < number:
                self._from = 0
        return _unless_empty(self._set.apply(events))

    def _replace(self, read: RangeSnapshot) -> ChangeBatch | None:
        batch, wanted = self._set.replace(read), self._from
        if batch.revision >= wanted - 1:
            self._from = 0  # all later changes count, even if another history begins with 1
        if batch.first:
            return None if wanted else batch
        return _unless_empty(batch) if batch.revision >= wanted else None


class _EndpointSet:
    """The endpoints, by key, and the changes that make them equal to those in etcd."""

    def __init__(self) -> None:
        self.endpoints: dict[str, StoredEndpoint] = {}
        self._invalid: dict[str, InvalidValue] = {}

    def apply(self, events: Events) -> ChangeBatch:
        """Apply *events* in their order, and return the changes."""
        stored = stored_endpoints(events.keys)
        revision = events.keys[-1].mod_revision if events.keys else 0
        if not (events.deleted or self._invalid or InvalidValue in map(type, stored)):
            return ChangeBatch(revision, self._put_all(cast("list[StoredEndpoint]", stored)), [])
        changes: list[Change | None] = []
        invalid: list[InvalidValue] = []
        were_invalid = [*self._invalid]
        for position, each in enumerate(stored):
            if position in events.deleted:
                changes.append(self._remove(each.key, each.mod_revision))
            elif isinstance(each, InvalidValue):
                changes.append(self._spoil(each, each.mod_revision))
                invalid.append(each)
            else:
                changes.append(self._put(each, each.mod_revision))
        changed = [each for each in changes if each]
        return ChangeBatch(revision, changed, invalid, no_longer_invalid=self._valid(were_invalid))

    def replace(self, read: RangeSnapshot) -> ChangeBatch:
        """Become what *read* shows; the changes are the differences, deletions first."""
        revision, were_invalid = read.revision, [*self._invalid]
        endpoints = [*stored_endpoints(read.keys)]
        there = {stored.key for stored in endpoints}
        gone = [key for key in (*self.endpoints, *self._invalid) if key not in there]
        changes = [self._remove(key, revision) for key in gone]
        invalid: list[InvalidValue] = []
        if read.resync:
            endpoints.sort(key=lambda stored: stored.mod_revision)
        for stored in endpoints:
            if isinstance(stored, InvalidValue):
                if self._invalid.get(stored.key) != stored:
                    changes.append(self._spoil(stored, revision))
                    invalid.append(stored)
            elif self.endpoints.get(stored.key) != stored:
                changes.append(self._put(stored, revision))
        changed = [each for each in changes if each]
        valid = self._valid(were_invalid)
        return ChangeBatch(revision, changed, invalid, not read.resync, read.resync, valid)

    def _put_all(self, stored: Sequence[StoredEndpoint]) -> list[Change]:
        """Do what `_put` does, without a call for each: in a flood, most batches are only puts."""
        endpoints, add = self.endpoints, Operation.ADD
        rows = []
        for each in stored:
            key, endpoint, _, revision, _, lease = each
            rows.append((add, key, revision, endpoint, lease, endpoints.get(key)))
            endpoints[key] = each
        return [*build_many(Change, rows)]

    def _put(self, stored: StoredEndpoint, revision: int) -> Change:
        previous = self.endpoints.get(stored.key)
        self.endpoints[stored.key] = stored
        self._invalid.pop(stored.key, None)
        return Change(Operation.ADD, stored.key, revision, stored.endpoint, stored.lease, previous)

    def _spoil(self, stored: InvalidValue, revision: int) -> Change | None:
        """Remove an endpoint whose value can't be read any more."""
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


def _unless_empty(batch: ChangeBatch) -> ChangeBatch | None:
    return batch if batch.changes or batch.invalid or batch.no_longer_invalid else None


class _RangeWatch:
    """
    The user's side of a `RangeWatchLoop`: its events, and how it ends, in a forked child as well.

    Raises:
        ConnectionFailedError: No thread can be started now.
    """

    def __init__(
        self, client: Client, start: bytes, end: bytes, revision: int, *, shared: bool
    ) -> None:
        self._end: Exception | None = None
        self._loop: RangeWatchLoop | None = None
        call_after_fork(self)
        try:
            self._loop = RangeWatchLoop(client, start, end, revision, shared=shared)
        except ClientClosedError as exc:  # reported as if it had been closed a moment later
            self._end = exc
        else:
            self._loop.wake()

    def get(self, timeout: float | None = None) -> WatchEvent | None:
        """
        Return what happened next; ``None`` if nothing did for *timeout* seconds.

        Raises:
            EtcdError: No retry heals it; from now on, every call raises it.
            ClosedError: By `close`.
            InheritedError: This process is a forked child, and the watch belongs to its parent.
        """
        if self._loop and not self._end:
            event = self._loop.events.get(timeout)
            if self._loop.suspended:
                self._loop.wake_if_caught_up()
            if not isinstance(event, Exception):
                return event
            self._end = event
        raise self._end or ClosedError

    def close(self) -> None:
        """End it, at once and from any thread. In a forked child it does nothing."""
        if self._loop:
            self._loop.stop()

    def after_fork(self) -> None:
        """Bring no more events, in a child, which has no thread of the client: see `fork`."""
        inherited.append(self._loop)
        self._loop, self._end = None, InheritedError("the watch")
