"""What is told of a range of keys that is watched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from . import rpc_pb2 as rpc
from .snapshot import Snapshot

__all__ = ["Connected", "Disconnected", "Events", "News", "Reading"]


class Reading(NamedTuple):
    """All there is. *again*: it takes the place of everything told before."""

    snapshot: Snapshot[rpc.KeyValue]
    again: bool


class Events(NamedTuple):
    """Changes in the order they were made, perhaps of several revisions."""

    events: Sequence[rpc.Event]


class Connected(NamedTuple):
    """*member* delivers."""

    member: str


class Disconnected(NamedTuple):
    """Nobody delivers for now, and why."""

    reason: str


News: TypeAlias = Reading | Events | Connected | Disconnected
