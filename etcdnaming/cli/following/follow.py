"""Take batches from a watch, all or selected ones, until it is time to end; report its state."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeAlias

from ...model import Change, ChangeBatch, Operation, StoredEndpoint, WatchState
from .. import stderr
from ..failures import TimedOutError, with_flags
from ..output.spelling import counted, unreadable
from ..selector import Selector
from ..signals import PULSE

__all__ = ["Batches", "SelectedWatch", "StateMessages", "batches_until", "follow"]

OnBatch: TypeAlias = Callable[[ChangeBatch, Mapping[str, StoredEndpoint]], None]
"""Takes a batch, and the endpoints after it by key."""


class Batches(Protocol):
    """The part of a watch that is used here."""

    @property
    def endpoints(self) -> Mapping[str, StoredEndpoint]:
        """The endpoints after the last batch."""

    def get(self, timeout: float | None = None) -> ChangeBatch | None:
        """Return the next batch; ``None`` if none arrives within *timeout* seconds."""


def follow(
    watch: Batches, on_batch: OnBatch, *, first: bool, count: int | None, timeout: float | None
) -> None:
    """
    Pass *count* changes to *on_batch* and, with *first*, the initial endpoints before them.

    Raises:
        TimedOutError: There were fewer changes within *timeout* seconds.
    """
    passed = 0
    for batch in batches_until(watch, timeout):
        if batch.first:
            if first:
                on_batch(batch, watch.endpoints)
            continue
        left = None if count is None else count - passed
        on_batch(*_first_changes(left, batch, watch.endpoints))
        passed += len(batch.changes)
        if count is not None and passed >= count:
            return
    missing = "" if count is None else f": {passed} of {count} changes"
    raise TimedOutError(f"timed out after {timeout:g}s{missing}")


def batches_until(watch: Batches, timeout: float | None) -> Iterator[ChangeBatch]:
    """Yield the batches of *watch* for *timeout* seconds (``None``: for ever)."""
    end = math.inf if timeout is None else time.monotonic() + timeout
    while (left := end - time.monotonic()) > 0:
        batch = watch.get(min(left, PULSE))
        if batch is not None:
            yield batch


def _first_changes(
    number: int | None, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]
) -> tuple[ChangeBatch, Mapping[str, StoredEndpoint]]:
    """Return *batch* cut to its first *number* changes, and the endpoints after those."""
    if number is None or len(batch.changes) <= number:
        return batch, endpoints
    kept = batch.changes[:number]
    invalid = [each for each in batch.invalid if each.mod_revision <= kept[-1].revision]
    before = dict(endpoints)
    for change in reversed(batch.changes[number:]):
        before.pop(change.key, None)
        if change.previous is not None:
            before[change.key] = change.previous
    return batch._replace(revision=kept[-1].revision, changes=kept, invalid=invalid), before


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


class StateMessages:
    """
    Reports outages, re-reads of etcd and unreadable values on stderr, each once.

    With *quiet* it prints nothing, because a live table shows the same.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._was_connected = False
        self._when_back = ""

    def state(self, state: WatchState) -> None:
        """Report that the connection was lost or restored, or is down for another reason."""
        if not state.connected:
            lost = "not connected yet"
            if self._was_connected:
                lost = "still disconnected" if self._when_back else "disconnected"
            self._when_back = "reconnected" if self._was_connected else "connected"
            self._print(stderr.warn, f"{lost}: {with_flags(state.detail)}")
            return
        if self._when_back:
            self._print(stderr.say, f"{self._when_back} to {state.detail}")
        self._was_connected, self._when_back = True, ""

    def batch(self, batch: ChangeBatch) -> None:
        """Report whether etcd was read again for *batch*, and its unreadable values."""
        self._was_connected = True
        if batch.resync:
            differences = counted(len(batch.changes), "difference")
            self._print(
                stderr.say, f"resync: changes were lost; reading etcd again showed {differences}"
            )
        for each in batch.invalid:
            self._print(stderr.warn, unreadable(each))

    def _print(self, show: Callable[[str], None], text: str) -> None:
        if not self._quiet:
            show(text)
