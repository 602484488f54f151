"""What a watch of a range of keys brings, in plain data: no protobuf message leaves this room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from . import rpc_pb2 as rpc
from .columns import Columns, KeyValue, Row, rows_of

__all__ = ["Connected", "Disconnected", "Events", "RangeSnapshot", "WatchEvent"]

CHANGE_BYTES = 256
"""Memory that a change takes beside its key and its value."""

COLUMNS_FROM = 4
"""Number of changes from which columns are faster than rows."""

_NONE: frozenset[int] = frozenset()
_FIRST = frozenset([0])

_TYPE, _KV = attrgetter("type"), attrgetter("kv")


class RangeSnapshot(NamedTuple):
    """All *keys* of the range at *revision*. *resync*: they replace everything that came before."""

    revision: int
    keys: Sequence[KeyValue]
    resync: bool


class Events(NamedTuple):
    """
    Changes in the order they were made, perhaps of several revisions.

    *deleted* holds the positions of the keys that were deleted; of these only the key and its
    revision count.
    """

    keys: Columns | list[Row]
    deleted: frozenset[int]

    @classmethod
    def of(cls, events: Sequence[rpc.Event]) -> Events:
        """Return *events* in plain data: many as `Columns`, for loops that run in C."""
        if len(events) == 1:  # as most are, and each is waited for
            [event] = events
            return cls(rows_of([event.kv]), _FIRST if event.type else _NONE)
        kvs, types = map(_KV, events), [*map(_TYPE, events)]
        keys = Columns.of(kvs) if len(types) >= COLUMNS_FROM else rows_of(kvs)
        if any(types):
            return cls(keys, frozenset(compress(range(len(types)), types)))
        return cls(keys, _NONE)

    @property
    def size(self) -> int:
        """The memory they take, in bytes and roughly."""
        size = CHANGE_BYTES * len(self.keys)
        if isinstance(self.keys, list):
            for key, value, _, _, _, _ in self.keys:
                size += len(key) + len(value)
            return size
        keys, values, *_ = self.keys.lists
        return size + sum(map(len, keys)) + sum(map(len, values))

    def only(self, positions: Iterable[int]) -> Events:
        """Return those at *positions*."""
        chosen = [*positions]
        deleted = (n for n, each in enumerate(chosen) if each in self.deleted)
        return Events([self.keys[each] for each in chosen], frozenset(deleted))


class Connected(NamedTuple):
    """*member* delivers changes."""

    member: str


class Disconnected(NamedTuple):
    """No member delivers changes for now, and why."""

    reason: str


WatchEvent: TypeAlias = RangeSnapshot | Events | Connected | Disconnected
