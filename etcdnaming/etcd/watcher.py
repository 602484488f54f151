"""
The only speaker of etcd's Watch: the watches of a client, and the streams that carry them.

A stream is one call, which carries one watch of the client, or many.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from queue import SimpleQueue

import grpc

from ..errors import ClientClosedError, ConnectionFailedError, EtcdError
from ..fork import GRPC_FORK_SUPPORT
from . import rpc_pb2 as rpc
from .answers import classify
from .calls import Caller, Method, ResponseStream
from .client import Client
from .deadline import Deadline
from .grpc_tuning import drain
from .members import Member
from .threads import Executor, start_thread

__all__ = ["WatchAgainError", "WatchStream", "WatchSubstream", "Watcher"]

CREATE_TIMEOUT = 5.0
"""Seconds that etcd may take to accept a watch."""

CANCELED = "context canceled"
"""With this the grpc-proxy ends a call whose client sends no more requests. etcd goes on."""

_WATCH = Method("/etcdserverpb.Watch/Watch", rpc.WatchRequest, rpc.WatchResponse)


class WatchAgainError(Exception):
    """Nothing was lost: open the watch again, and all changes come, in another way."""


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
        """Do nothing, in a child: the users of the watches end them."""

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
        create: The request; the stream sets its watch id.

        received: Handles an answer, without waiting and without a lock of the stream; returns
            whether more are wanted. An error ends the stream.

        ended: Notes why the stream has ended, without waiting: the lock of the stream is held.
    """

    __slots__ = ("accepted", "carrier", "create", "ended", "received")  # many keys

    def __init__(
        self,
        create: rpc.WatchCreateRequest,
        received: Callable[[WatchSubstream, rpc.WatchResponse], bool],
        ended: Callable[[WatchSubstream, Exception], None],
    ) -> None:
        self.create = create
        self.accepted = False
        self.carrier: WatchStream | None = None
        self.received, self.ended = received, ended

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


class WatchStream:
    """
    Calls and reads in one thread, until the call breaks or carries no watch.

    A watch that is refused, silent or slow does not end the others. A stream that is over keeps no
    reference to its call, so that the connection of a member that was left can end.

    `_lock` guards everything. It is taken after the lock of the `Watcher`. `_receive` releases it
    before it calls `WatchSubstream.received`, because that may run code of the watch's owner.
    `fail` holds it while it calls `WatchSubstream.ended`, which runs none.

    Args:
        dedicated: It carries a single watch, so only one request is ever sent. Then our thread
            reads the answers itself (on a channel that we have dialled), where a shared call has
            a thread of gRPC's that wakes ours. The grpc-proxy ends such a call at once, and
            another proxy may do so, too: if it brings nothing, *works* is false from then on.
    """

    def __init__(self, caller: Caller, *, dedicated: bool = False) -> None:
        self.member = ""
        self.works = True
        self._caller, self._dedicated = caller, dedicated
        self._lock = threading.Lock()
        self._requests: SimpleQueue[rpc.WatchRequest | None] = SimpleQueue()
        self._carried: set[WatchSubstream] = set()
        self._wanted: deque[WatchSubstream] = deque()
        self._requested: WatchSubstream | None = None
        self._create_deadline: Deadline | None = None
        self._watches: dict[int, WatchSubstream] = {}
        self._numbers = count(1)
        self._member: Member | None = None
        self._call: ResponseStream[rpc.WatchResponse] | None = None
        self._full = self._over = False

    @property
    def over(self) -> bool:
        """Return whether it carries no watch any more."""
        return self._over

    def start(self, watch: WatchSubstream) -> None:
        """
        Carry *watch* first, and run in a new thread.

        Raises:
            ConnectionFailedError: No thread can be started now.
        """
        self.add(watch)
        self._full = self._dedicated
        start_thread(self.run, "etcdnaming-stream")

    def run(self) -> Exception | None:
        """Call and read until the end; return the error that ended it, if it was an error."""
        call = error = None
        try:
            member, call = self._open_call()
            self._read(member, call)
        except Exception as exc:  # noqa: BLE001 - a bug, too, must not look like silence
            error = None if self._over else exc
            self.fail(exc)
        # Only this thread can: a dedicated call that was cancelled has no thread of gRPC's, and
        # keeps its connection until its last events are taken.
        drain(call)
        try:
            return error
        finally:
            # The traceback holds this frame. With the error in it, that would be a cycle, and the
            # connection would last until the garbage collector runs.
            del error

    def add(self, watch: WatchSubstream) -> bool:
        """Carry *watch*, too; return false if no more watches are carried."""
        with self._lock:
            if self._full:
                return False
            self._carried.add(watch)
            self._wanted.append(watch)
            self._request_next()
            return True

    def create_time_left(self) -> float:
        """Return the seconds etcd has left to accept the watch that was requested last."""
        with self._lock:
            return self._create_deadline.left() if self._create_deadline else CREATE_TIMEOUT

    def drop(self, watch: WatchSubstream) -> None:
        """Carry *watch* no further."""
        with self._lock:
            self._carried.discard(watch)
            for number in [each for each, its in self._watches.items() if its is watch]:
                self._cancel(number)
            if not self._carried:
                self._end()

    def fail(self, exc: Exception) -> None:
        """End all watches with *exc*."""
        with self._lock:
            self._end()
            for watch in self._carried:
                watch.ended(watch, exc)

    def leave(self) -> None:
        """Carry no more watches, and use another member from now on."""
        with self._lock:
            self._full, self.works, member = True, False, self._member
        if member:
            self._caller.leave(member)

    def _request_next(self) -> None:
        # One at a time: the answer does not name the request, and the grpc-proxy has an order of
        # its own.
        while self._wanted and self._call and not self._requested:
            self._requests.put(self._next_request())

    def _only_request(self) -> rpc.WatchRequest:
        with self._lock:
            return self._next_request()

    def _next_request(self) -> rpc.WatchRequest:
        self._requested = self._wanted.popleft()
        # etcd 3.5.1 answers a refused watch under the id that was requested, or 0 if there was
        # none, and then sends nothing more to the watch that has this id. So every watch of a
        # stream requests an id of its own, and never 0.
        self._requested.create.watch_id = next(self._numbers)
        self._create_deadline = Deadline(CREATE_TIMEOUT)
        return rpc.WatchRequest(create_request=self._requested.create)

    def _cancel(self, number: int) -> None:
        self._watches.pop(number, None)
        cancel = rpc.WatchCancelRequest(watch_id=number)
        self._requests.put(rpc.WatchRequest(cancel_request=cancel))

    def _end(self) -> None:
        self._full = self._over = True
        self._requests.put(None)
        if self._call:
            self._call.cancel()
        self._member = self._call = None

    def _open_call(self) -> tuple[Member, ResponseStream[rpc.WatchResponse]]:
        if self._dedicated:
            member, call = self._caller.open_single_request(_WATCH, self._only_request)
        else:
            member, call = self._caller.open_bidi(_WATCH, iter(self._requests.get, None))
        with self._lock:
            self.member, self._member, self._call = member.name, member, call
            if self._over:
                self._end()
            self._request_next()
        return member, call

    def _read(self, member: Member, call: ResponseStream[rpc.WatchResponse]) -> None:
        try:
            for response in call:
                self._receive(response)
        except grpc.RpcError as exc:
            if self._dedicated and exc.details() == CANCELED:
                self.works = False
                raise WatchAgainError from exc
            raise self._failure(member, exc) from exc
        self._part(member, for_good=True)
        raise ConnectionFailedError(f"{member.name}: connection ended")

    def _failure(self, member: Member, exc: grpc.RpcError) -> EtcdError:
        failure = classify(exc, member.name, writes=False)
        self._part(member, for_good=failure.leave)
        return failure.error

    def _part(self, member: Member, *, for_good: bool) -> None:
        # A call that we have ended says nothing about the member.
        if for_good and not self._over:
            self._caller.leave(member)

    def _receive(self, response: rpc.WatchResponse) -> None:
        with self._lock:
            # A broken proxy may accept a watch for the second time.
            is_first = response.created and self._requested is not None
            watch = self._created(response) if is_first else self._find(response)
        if watch and not watch.received(watch, response):
            self.drop(watch)

    def _created(self, response: rpc.WatchResponse) -> WatchSubstream | None:
        watch, self._requested = self._requested, None
        self._request_next()
        if response.canceled:  # whatever its id
            # The reason may be the token, which belongs to the whole call: a new call has a new
            # token.
            self._full = True
        elif watch in self._carried:
            self._watches[response.watch_id] = watch
        else:
            self._cancel(response.watch_id)
            return None
        return watch

    def _find(self, response: rpc.WatchResponse) -> WatchSubstream | None:
        if response.canceled:
            return self._watches.pop(response.watch_id, None)
        return self._watches.get(response.watch_id)
