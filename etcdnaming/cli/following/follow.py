"""From a watch to those who are told of it, until there is reason to end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Protocol

from ...model import ChangeBatch, StoredEndpoint
from ..failures import TimedOutError
from ..signals import PULSE

__all__ = ["Audience", "Batches", "follow", "until", "up_to"]


class Batches(Protocol):
    """A watch, as far as it is followed here."""

    @property
    def endpoints(self) -> Mapping[str, StoredEndpoint]:
        """What is there after the last batch."""

    def get(self, timeout: float | None = None) -> ChangeBatch | None:
        """Return the next batch; ``None`` if there is none for *timeout* seconds."""


class Audience(Protocol):
    """Whoever is told; *endpoints* is what is there after the batch."""

    def tell(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Take a batch."""


def follow(
    watch: Batches, audience: Audience, *, first: bool, count: int | None, timeout: float | None
) -> None:
    """
    Tell *audience* of *count* changes and, if it is to have the *first* set, of that before.

    Raises:
        TimedOutError: *timeout* seconds were over before.
    """
    told = 0
    for batch in until(watch, timeout):
        if batch.first:
            if first:
                audience.tell(batch, watch.endpoints)
            continue
        audience.tell(*up_to(None if count is None else count - told, batch, watch.endpoints))
        told += len(batch.changes)
        if count is not None and told >= count:
            return
    missing = "" if count is None else f": {told} of {count} changes"
    raise TimedOutError(f"timed out after {timeout:g}s{missing}")


def until(watch: Batches, timeout: float | None) -> Iterator[ChangeBatch]:
    """Yield what *watch* brings for *timeout* seconds; ``None`` is for ever."""
    end = math.inf if timeout is None else time.monotonic() + timeout
    while (left := end - time.monotonic()) > 0:
        batch = watch.get(min(left, PULSE))
        if batch is not None:
            yield batch


def up_to(
    number: int | None, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]
) -> tuple[ChangeBatch, Mapping[str, StoredEndpoint]]:
    """Return *batch* with the first *number* of its changes, and what was there after those."""
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
