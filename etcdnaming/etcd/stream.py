"""One call of etcd's Watch that carries the watches of a client, as many as there are."""

from __future__ import annotations

import os
import threading
from collections import deque
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import grpc

from ..errors import ConnectionFailedError
from . import rpc_pb2 as rpc
from .answers import understand
from .calls import Answers, Caller, Method
from .client import Client
from .deadline import Deadline
from .substream import Substream

if TYPE_CHECKING:
    from .members import Member

__all__ = ["LATE", "WatchStream", "open_watch"]

LATE = 5.0
"""Seconds that etcd may take to accept a watch."""

_WATCH = Method("/etcdserverpb.Watch/Watch", rpc.WatchRequest, rpc.WatchResponse)

_latest: WeakKeyDictionary[Client, WatchStream] = WeakKeyDictionary()
_opening = threading.Lock()  # guards it


def _after_fork() -> None:
    """Begin anew: a child has none of our threads, and a lock that nobody may ever release."""
    global _opening  # noqa: PLW0603 - no other way to renew it
    _opening = threading.Lock()
    _latest.clear()


os.register_at_fork(after_in_child=_after_fork)


def open_watch(client: Client, create: rpc.WatchCreateRequest) -> Substream:
    """Return what *create* asks for, on the stream that *client* has, or on a new one."""
    with _opening:
        stream = _latest.get(client)
        watch = stream.carry(create) if stream else None
        if watch:
            return watch
        stream = _latest[client] = WatchStream(client.caller)
    return stream.start(create)  # others need not wait for that


class WatchStream:
    """
    Calls and listens in a thread of its own, until the call breaks or there is nothing to carry.

    A watch that is refused, silent or slow is no reason to end the others. `_lock` guards
    everything; what is over keeps nothing, so that connections that were left can end.
    """

    def __init__(self, caller: Caller) -> None:
        self.member = ""
        self._caller = caller
        self._lock = threading.Lock()
        self._requests: SimpleQueue[rpc.WatchRequest | None] = SimpleQueue()
        self._carried: set[Substream] = set()
        self._wanted: deque[Substream] = deque()
        self._asked: Substream | None = None
        self._patience: Deadline | None = None
        self._watches: dict[int, Substream] = {}
        self._numbers = count(1)
        self._member: Member | None = None
        self._call: Answers[rpc.WatchResponse] | None = None
        self._taken = self._over = False

    def start(self, create: rpc.WatchCreateRequest) -> Substream:
        """Begin with what *create* asks for, and return that."""
        with self._lock:
            watch = self._carry(create)
        threading.Thread(target=self._run, name="etcdnaming-stream", daemon=True).start()
        return watch

    def patience(self) -> float:
        """Return the seconds etcd has left to accept what it was asked for last."""
        with self._lock:
            return self._patience.left() if self._patience else LATE

    def carry(self, create: rpc.WatchCreateRequest) -> Substream | None:
        """Return what *create* asks for; ``None`` if nothing new is carried any more."""
        with self._lock:
            return None if self._taken else self._carry(create)

    def drop(self, substream: Substream) -> None:
        """Carry it no further."""
        with self._lock:
            self._carried.discard(substream)
            for watch in [each for each, its in self._watches.items() if its is substream]:
                self._cancel(watch)
            if not self._carried:
                self._end()

    def leave(self) -> None:
        """Carry nothing new, and use another member from now on."""
        with self._lock:
            self._taken, member = True, self._member
        if member:
            self._caller.leave(member)

    def _carry(self, create: rpc.WatchCreateRequest) -> Substream:
        watch = Substream(self, create)
        self._carried.add(watch)
        self._wanted.append(watch)
        self._ask()
        return watch

    def _ask(self) -> None:
        # One at a time: the answer does not name what was asked for, and the grpc-proxy has an
        # order of its own.
        while self._wanted and self._call and not self._asked:
            self._asked = self._wanted.popleft()
            # An etcd of old (3.5.1) refuses a watch under the id that was asked for, 0 if none was,
            # and then tells whoever has that id nothing more.
            self._asked.create.watch_id = next(self._numbers)
            self._patience = Deadline(LATE)
            self._requests.put(rpc.WatchRequest(create_request=self._asked.create))

    def _cancel(self, watch: int) -> None:
        self._watches.pop(watch, None)
        cancel = rpc.WatchCancelRequest(watch_id=watch)
        self._requests.put(rpc.WatchRequest(cancel_request=cancel))

    def _end(self) -> None:
        self._taken = self._over = True
        self._requests.put(None)
        if self._call:
            self._call.cancel()
        self._member = self._call = None

    def _run(self) -> None:
        try:
            self._listen(*self._open())
        except Exception as exc:  # noqa: BLE001 - a bug, too, must not look like silence
            self._fail(exc)

    def _open(self) -> tuple[Member, Answers[rpc.WatchResponse]]:
        requests = iter(self._requests.get, None)
        member, call = self._caller.stream(_WATCH, requests)
        with self._lock:
            self.member, self._member, self._call = member.name, member, call
            if self._over:
                self._end()
            self._ask()
        return member, call

    def _listen(self, member: Member, call: Answers[rpc.WatchResponse]) -> None:
        try:
            for response in call:
                self._receive(response)
        except grpc.RpcError as exc:
            said = understand(exc, member.name, writes=False)
            self._part(member, for_good=said.leave)
            raise said.error from exc
        self._part(member, for_good=True)
        raise ConnectionFailedError(f"{member.name}: connection ended")

    def _part(self, member: Member, *, for_good: bool) -> None:
        if (
            for_good and not self._over
        ):  # if it was us who ended it, the member is as good as before
            self._caller.leave(member)

    def _receive(self, response: rpc.WatchResponse) -> None:
        with self._lock:
            watch = self._created(response) if response.created else self._told(response)
        if watch and not watch.put(response):
            self.drop(watch)

    def _created(self, response: rpc.WatchResponse) -> Substream | None:
        watch, self._asked = self._asked, None
        self._ask()
        if response.canceled:  # whatever its id
            # Perhaps it was the token, which is that of the whole call: others get a new one.
            self._taken = True
        elif watch in self._carried:
            self._watches[response.watch_id] = watch
        else:
            self._cancel(response.watch_id)
            return None
        return watch

    def _told(self, response: rpc.WatchResponse) -> Substream | None:
        if response.canceled:
            return self._watches.pop(response.watch_id, None)
        return self._watches.get(response.watch_id)

    def _fail(self, exc: Exception) -> None:
        with self._lock:
            self._end()
            for watch in self._carried:
                watch.end(exc)
