"""One watch on a stream that may carry many."""

from __future__ import annotations

from typing import Protocol

from . import rpc_pb2 as rpc

__all__ = ["Carrier", "SubstreamOwner", "WatchSubstream"]


class Carrier(Protocol):
    """The stream of a watch."""

    member: str
    """The name of the member that was called; empty before."""

    def create_time_left(self) -> float:
        """Return the seconds that etcd has left to accept this watch."""

    def leave(self) -> None:
        """Carry no more watches, and use another member from now on."""

    def drop(self, watch: WatchSubstream) -> None:
        """Carry *watch* no further."""


class SubstreamOwner(Protocol):
    """What a substream calls, in the thread of its stream, which must not be kept waiting."""

    def received(self, stream: WatchSubstream, answer: rpc.WatchResponse) -> bool:
        """Handle *answer* of *stream*; return whether more answers are wanted."""

    def ended(self, stream: WatchSubstream, exc: Exception) -> None:
        """Note that *stream* has ended; the lock of its carrier is held."""


class WatchSubstream:
    """
    The watch that *create* asks for, from when it is opened until it ends or is closed.

    It keeps no answer: each goes to *owner* at once, in the thread of the stream, because to pass
    it on to another thread costs more time than all that is done with it. So an owner that reads
    too slowly closes its substream, and opens another one when it has caught up.
    """

    def __init__(self, create: rpc.WatchCreateRequest, owner: SubstreamOwner) -> None:
        self.create = create
        self.accepted = False
        self.carrier: Carrier | None = None
        self._owner = owner

    @property
    def member(self) -> str:
        """Return the name of the member that answers."""
        return self.carrier.member if self.carrier else ""

    def create_time_left(self) -> float:
        """Return the seconds that etcd has left to accept it."""
        return self.carrier.create_time_left() if self.carrier else 0.0

    def leave(self) -> None:
        """Use another member from now on."""
        if self.carrier:
            self.carrier.leave()

    def close(self) -> None:
        """End it, at once and from any thread."""
        if self.carrier:
            self.carrier.drop(self)

    def put(self, answer: rpc.WatchResponse) -> bool:
        """Pass *answer* on; return whether to carry this watch any further."""
        return self._owner.received(self, answer)

    def end(self, exc: Exception) -> None:
        """Pass on why the stream has ended."""
        self._owner.ended(self, exc)
