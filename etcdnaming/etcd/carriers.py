"""Which calls of etcd's Watch carry the watches of a client: one of its own, or one for many."""

from __future__ import annotations

import os
import threading
from weakref import WeakKeyDictionary

from ..forking import FORKS
from . import rpc_pb2 as rpc
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
        self.own: WatchStream | None = None
        self.shared: WatchStream | None = None

    def new(self, client: Client, *, shared: bool) -> WatchStream:
        """Return one that carries nothing so far."""
        if not shared and (self.own is None or (self.own.over and self.own.works)):
            self.own = WatchStream(client.caller, alone=True)
            return self.own
        self.shared = WatchStream(client.caller)
        return self.shared


_carriers: WeakKeyDictionary[Client, _Carriers] = WeakKeyDictionary()
_opening = threading.Lock()  # guards it


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
        watch = carriers.shared.carry(create) if carriers.shared else None
        if watch:
            return watch
        stream = carriers.new(client, shared=shared or FORKS)
    return stream.start(create)  # others need not wait for that
