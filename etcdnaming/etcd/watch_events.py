"""What a watch of a range of keys brings, in plain data: no protobuf message leaves this room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from . import rpc_pb2 as rpc
from .columns import Columns
from .ranges import KeyValue

__all__ = ["Connected", "Disconnected", "Events", "RangeSnapshot", "WatchEvent"]

CHANGE_BYTES = 256
"""Memory that a change takes beside its key and its value."""

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

    keys: Columns
    deleted: frozenset[int]

    @classmethod
    def of(cls, events: Sequence[rpc.Event]) -> Events:
        """Return *events* in plain data. Column by column, so that the loops run in C."""
        types = [*map(_TYPE, events)]
        deleted = compress(range(len(types)), types) if any(types) else ()
        return cls(Columns.of(map(_KV, events)), frozenset(deleted))

    @property
    def revisions(self) -> list[int]:
        """The revision of each change."""
        _, _, _, revisions, _, _ = self.keys.lists
        return revisions

    @property
    def size(self) -> int:
        """The memory they take, in bytes and roughly."""
        keys, values, *_ = self.keys.lists
        return sum(map(len, keys)) + sum(map(len, values)) + CHANGE_BYTES * len(keys)

    def only(self, positions: Iterable[int]) -> Events:
        """Return those at *positions*."""
        chosen = [*positions]
        lists = [[column[each] for each in chosen] for column in self.keys.lists]
        deleted = (n for n, each in enumerate(chosen) if each in self.deleted)
        return Events(Columns(lists), frozenset(deleted))


class Connected(NamedTuple):
    """*member* delivers changes."""

    member: str


class Disconnected(NamedTuple):
    """No member delivers changes for now, and why."""

    reason: str


WatchEvent: TypeAlias = RangeSnapshot | Events | Connected | Disconnected
