"""The watches of several targets as one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, Full, Queue
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias

from ...errors import ClosedError
from ...model import ChangeBatch, StoredEndpoint, WatchState
from ..signals import PULSE
from .follow import Batches

__all__ = ["MergedWatch", "OpenWatch"]

MAX_QUEUED = 64
"""Batches that wait for a slow user, before no more are taken from the watches."""


class _Watch(Batches, Protocol):
    def close(self) -> None:
        """End it, at once and from any thread."""


OpenWatch: TypeAlias = Callable[[Callable[[WatchState], None]], _Watch]
"""Return a watch that calls its argument with the states of the connection."""


class _Item(NamedTuple):
    """
    What watch *number* has brought.

    *endpoints* are those of the changed keys after *batch*; all of them if *is_initial*.
    """

    number: int
    batch: ChangeBatch | None = None
    endpoints: Mapping[str, StoredEndpoint] = {}
    is_initial: bool = False
    state: WatchState | None = None
    failure: Exception | None = None


class MergedWatch:
    """
    The batches of the watches that *open_each* makes, in the order in which they arrive.

    All endpoints come first, in one batch, as soon as every watch has them; its revision is the
    lowest one, so that no change after it is missing. A thread for each watch takes its batches.
    The connection counts as lost while one watch has lost it.

    One thread takes the batches, and is the one that calls *on_state*; any may close it.
    """

    def __init__(
        self, open_each: Sequence[OpenWatch], on_state: Callable[[WatchState], None]
    ) -> None:
        self._on_state = on_state
        self._items: Queue[_Item | None] = Queue(MAX_QUEUED)
        self._closed = False
        self._endpoints: dict[str, StoredEndpoint] = {}
        self._initial: dict[int, _Item] = {}
        self._held: list[_Item] = []
        self._ready: deque[_Item] = deque()
        self._states: dict[int, WatchState] = {}
        self._reported: WatchState | None = None
        self._watches: list[_Watch] = []
        for number, open_watch in enumerate(open_each):
            source = _Source(number, self._put)
            watch = open_watch(source.on_state)
            self._watches.append(watch)
            run = partial(source.run, watch)
            threading.Thread(target=run, name="etcdnaming-merge", daemon=True).start()
        self._count = len(self._watches)

    @property
    def endpoints(self) -> Mapping[str, StoredEndpoint]:
        """The endpoints of all targets after the last batch, by key."""
        return MappingProxyType(self._endpoints)

    def get(self, timeout: float | None = None) -> ChangeBatch | None:
        """
        Return the next batch; ``None`` if none arrives within *timeout* seconds.

        Raises:
            PermissionDeniedError, CompactedError, …: One of the watches has ended.
            ClosedError: By `close`.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self._closed:
            if self._ready:
                return self._apply(self._ready.popleft())
            try:
                item = self._items.get(timeout=end and max(0.0, end - time.monotonic()))
            except Empty:
                return None
            if item is not None:
                self._take(item)
        raise ClosedError

    def close(self) -> None:
        """End it, at once and from any thread."""
        self._closed = True
        for watch in self._watches:
            watch.close()
        with suppress(Full):
            self._items.put_nowait(None)  # wakes the thread that gets

    def __enter__(self) -> MergedWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(self, item: _Item) -> None:
        while not self._closed:
            with suppress(Full):
                return self._items.put(item, timeout=PULSE)
        raise ClosedError

    def _take(self, item: _Item) -> None:
        if item.failure:
            raise item.failure
        if item.state:
            self._take_state(item.number, item.state)
        if item.is_initial:
            self._initial[item.number] = item
            if len(self._initial) == self._count:
                self._ready.extend([_merge(self._initial), *self._held])
        elif item.batch and len(self._initial) < self._count:
            self._held.append(item)
        elif item.batch:
            self._ready.append(item)

    def _take_state(self, number: int, state: WatchState) -> None:
        before = self._states.get(number)
        was_connected = all(each.connected for each in self._states.values())
        self._states[number] = state
        is_new = was_connected or (before is not None and not before.connected)
        if state.connected:
            is_complete = len(self._states) == self._count
            is_new = is_complete and all(each.connected for each in self._states.values())
        # An outage and its reason are reported once, and its end when it has ended for all.
        if is_new and state != self._reported:
            self._reported = state
            self._on_state(state)

    def _apply(self, item: _Item) -> ChangeBatch | None:
        if item.is_initial:
            self._endpoints = dict(item.endpoints)
            return item.batch
        for change in item.batch.changes if item.batch else ():
            stored = item.endpoints.get(change.key)
            if stored is None:
                self._endpoints.pop(change.key, None)
            else:
                self._endpoints[change.key] = stored
        return item.batch


class _Source:
    """Passes on what one watch brings, in its own thread."""

    def __init__(self, number: int, put: Callable[[_Item], None]) -> None:
        self._number, self._put = number, put
        self._watch: _Watch | None = None
        self._has_begun = False

    def run(self, watch: _Watch) -> None:
        """Take batches until the end."""
        self._watch = watch
        with suppress(ClosedError):
            try:
                while True:
                    if batch := watch.get():
                        self._put(self._item(watch, batch))
            except ClosedError:
                raise
            except Exception as exc:  # noqa: BLE001 - raised where batches are taken
                self._put(_Item(self._number, failure=exc))

    def on_state(self, state: WatchState) -> None:
        """Pass on the state of the connection."""
        self._put(_Item(self._number, state=state))
        if state.connected and self._watch and not self._has_begun:
            self._put(self._item(self._watch, None))  # with --rev, there is no first batch

    def _item(self, watch: _Watch, batch: ChangeBatch | None) -> _Item:
        if not self._has_begun:
            self._has_begun = True
            return _Item(self._number, batch, dict(watch.endpoints), is_initial=True)
        changed = {each.key for each in batch.changes} if batch else ()
        after = {key: watch.endpoints[key] for key in changed if key in watch.endpoints}
        return _Item(self._number, batch, after)


def _merge(initial: Mapping[int, _Item]) -> _Item:
    """Return all endpoints, in one batch; or without one, if there are only changes."""
    items = [initial[number] for number in sorted(initial)]
    endpoints = {key: each for item in items for key, each in item.endpoints.items()}
    batches = [item.batch for item in items if item.batch]
    if not batches:
        return _Item(0, None, endpoints, is_initial=True)
    batch = ChangeBatch(
        min(each.revision for each in batches),
        [change for each in batches for change in each.changes],
        [found for each in batches for found in each.invalid],
        first=batches[0].first,
    )
    return _Item(0, batch, endpoints, is_initial=True)
