"""One watch on a stream that may carry many."""

from __future__ import annotations

from collections.abc import Callable

from . import rpc_pb2 as rpc
from .watch_stream import WatchStream

__all__ = ["WatchSubstream"]


class WatchSubstream:
    """
    The watch that *create* asks for, from when it is opened until it ends or is closed.

    It keeps no answer: *received* is called with each at once, in the thread of the stream, because
    to pass it on to another thread costs more time than all that is done with it. So an owner that
    reads too slowly closes its substream, and opens another one when it has caught up.

    Args:
        received: Handles an answer, without waiting; returns whether more are wanted.

        ended: Notes why the stream has ended; the lock of the stream is held.
    """

    def __init__(
        self,
        create: rpc.WatchCreateRequest,
        received: Callable[[WatchSubstream, rpc.WatchResponse], bool],
        ended: Callable[[WatchSubstream, Exception], None],
    ) -> None:
        self.create = create
        self.accepted = False
        self.carrier: WatchStream | None = None
        self._received, self._ended = received, ended

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
        return self._received(self, answer)

    def end(self, exc: Exception) -> None:
        """Pass on why the stream has ended."""
        self._ended(self, exc)
