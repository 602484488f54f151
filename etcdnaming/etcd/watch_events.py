"""What a watch of a range of keys brings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from . import rpc_pb2 as rpc
from .snapshot import Snapshot

__all__ = ["Connected", "Disconnected", "Events", "RangeSnapshot", "WatchEvent"]


class RangeSnapshot(NamedTuple):
    """All keys of the range. *resync*: they replace everything that came before."""

    snapshot: Snapshot[rpc.KeyValue]
    resync: bool


class Events(NamedTuple):
    """Changes in the order they were made, perhaps of several revisions."""

    events: Sequence[rpc.Event]


class Connected(NamedTuple):
    """*member* delivers changes."""

    member: str


class Disconnected(NamedTuple):
    """No member delivers changes for now, and why."""

    reason: str


WatchEvent: TypeAlias = RangeSnapshot | Events | Connected | Disconnected
