"""Which calls of etcd's Watch carry the watches of a client: one of its own, or one for many."""

from __future__ import annotations

import threading
from functools import partial

from ..errors import ClientClosedError
from ..fork import GRPC_FORK_SUPPORT
from . import rpc_pb2 as rpc
from .calls import Caller
from .client import Client
from .stream import WatchStream
from .substream import Substream

__all__ = ["open_watch"]


class Carriers:
    """
    What a client has: a call for a single watch, if that works, and one that many share.

    A call of its own is faster, as long as there are few of them: gRPC looks after each of them
    five times a second.

    `_lock` guards everything.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._lock = threading.Lock()
        self._own: WatchStream | None = None
        self._shared: WatchStream | None = None

    def carry(self, create: rpc.WatchCreateRequest, *, alone: bool) -> Substream:
        """
        Return what *create* asks for: *alone*, if that can be.

        Raises:
            ConnectionFailedError: No thread can be started now.
        """
        with self._lock:
            if alone and (self._own is None or (self._own.over and self._own.works)):
                stream = WatchStream(self._caller, alone=True)
                watch = stream.start(create)
                self._own = stream
                return watch
            carried = self._shared.carry(create) if self._shared else None
            if carried is None:
                stream = WatchStream(self._caller)
                carried = stream.start(create)
                self._shared = stream
            return carried

    def close(self) -> None:
        """End all watches."""
        with self._lock:
            streams = [stream for stream in (self._own, self._shared) if stream]
        for stream in streams:
            stream.fail(ClientClosedError())

    def after_fork(self) -> None:
        """Leave the watches to `RangeWatch`, which ends them in a child."""


def open_watch(client: Client, create: rpc.WatchCreateRequest, *, shared: bool) -> Substream:
    """Return what *create* asks for, on a call that *client* has, or a new one; see `Streams`."""
    # Never detached: they last as long as the client, and know whether a single call works.
    carriers = client.attach("watches", partial(Carriers, client.caller))
    return carriers.carry(create, alone=not (shared or GRPC_FORK_SUPPORT))
