"""Which calls of etcd's Watch carry the watches of a client: one of its own, or one for many."""

from __future__ import annotations

import os
import threading
from weakref import WeakKeyDictionary

from ..forking import FORKS
from . import rpc_pb2 as rpc
from .calls import Caller
from .client import Client
from .stream import WatchStream
from .substream import Substream

__all__ = ["open_watch"]


class _Carriers:
    """
    What a client has: a call for a single watch, if that works, and one that many share.

    A call of its own is faster, as long as there are few of them: gRPC looks after each of them
    five times a second.
    """

    def __init__(self) -> None:
        self._own: WatchStream | None = None
        self._shared: WatchStream | None = None

    def carry(self, caller: Caller, create: rpc.WatchCreateRequest, *, alone: bool) -> Substream:
        """Return what *create* asks for: *alone*, if that can be."""
        if alone and (self._own is None or (self._own.over and self._own.works)):
            self._own = WatchStream(caller, alone=True)
            return self._own.start(create)
        watch = self._shared.carry(create) if self._shared else None
        if watch:
            return watch
        self._shared = WatchStream(caller)
        return self._shared.start(create)


_carriers: WeakKeyDictionary[Client, _Carriers] = WeakKeyDictionary()
_opening = threading.Lock()  # guards it, and all that is in it


def _after_fork() -> None:
    """Begin anew: a child has none of our threads, and a lock that nobody may ever release."""
    global _opening  # noqa: PLW0603 - no other way to renew it
    _opening = threading.Lock()
    _carriers.clear()


os.register_at_fork(after_in_child=_after_fork)


def open_watch(client: Client, create: rpc.WatchCreateRequest, *, shared: bool) -> Substream:
    """Return what *create* asks for, on a call that *client* has, or a new one; see `Streams`."""
    with _opening:
        carriers = _carriers.setdefault(client, _Carriers())
        return carriers.carry(client.caller, create, alone=not (shared or FORKS))
