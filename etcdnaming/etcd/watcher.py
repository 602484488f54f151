"""The only speaker of etcd's Watch: opens the watches and the streams of a client."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from ..errors import ClientClosedError
from ..fork import GRPC_FORK_SUPPORT
from . import rpc_pb2 as rpc
from .calls import Caller
from .client import Client
from .threads import Executor
from .watch_stream import WatchStream

__all__ = ["WatchSubstream", "Watcher"]


class Watcher:
    """
    The streams of one client.

    Its first watch has a dedicated stream, all others share one, and registered keys have one.

    A dedicated stream is faster (a thread less is woken for each change), as long as there are few:
    gRPC wakes up for each of them five times a second. The grpc-proxy does not carry it; then all
    watches share a stream.

    `executor` has the threads that read, verify and open for all watches.

    `_lock` guards the rest. It is taken before the lock of a `WatchStream`, never after it.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._lock = threading.Lock()
        self._dedicated: WatchStream | None = None
        self._shared: WatchStream | None = None
        self._for_keys: list[WatchStream] = []
        self.executor = Executor("etcdnaming-watch")

    @classmethod
    def of(cls, client: Client) -> Watcher:
        """
        Return the watcher of *client*.

        It is never detached: it lasts as long as the client, and knows whether a dedicated stream
        works.
        """
        return client._attach("watches", partial(cls, client._caller))

    def open(self, watch: WatchSubstream, *, shared: bool) -> None:
        """
        Carry *watch*: on the dedicated stream, if that is free.

        *shared* leaves the dedicated stream to another watch. So does gRPC's support for forks,
        which can't stop a thread of ours that reads a call.

        Raises:
            ConnectionFailedError: No thread can be started now.
        """
        with self._lock:
            if not shared and not GRPC_FORK_SUPPORT and self._may_dedicate():
                stream = watch.carrier = WatchStream(self._caller, dedicated=True)
                stream.start(watch)
                self._dedicated = stream
                return
            if self._shared:
                watch.carrier = self._shared
                if self._shared.add(watch):
                    return
            stream = watch.carrier = WatchStream(self._caller)
            stream.start(watch)
            self._shared = stream

    def open_key_stream(self) -> WatchStream:
        """
        Return a stream for the watches of single keys, which the caller runs in its own thread.

        They have one of their own, because a refused key ends its stream.
        """
        stream = WatchStream(self._caller)
        with self._lock:
            self._for_keys = [each for each in self._for_keys if not each.over]
            self._for_keys.append(stream)
        return stream

    def close(self) -> None:
        """End all watches."""
        with self._lock:
            streams = [self._dedicated, self._shared, *self._for_keys]
        for stream in filter(None, streams):
            stream.fail(ClientClosedError())

    def after_fork(self) -> None:
        """Leave the watches to `RangeWatch`, which ends them in a child."""

    def _may_dedicate(self) -> bool:
        stream = self._dedicated
        return stream is None or (stream.over and stream.works)


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
