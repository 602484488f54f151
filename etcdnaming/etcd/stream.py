"""One call of etcd's Watch that carries the watches of a client: a single one, or many."""

from __future__ import annotations

import threading
from collections import deque
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING

import grpc

from ..errors import ConnectionFailedError
from . import rpc_pb2 as rpc
from .answers import understand
from .calls import Answers, Caller, Method
from .deadline import Deadline
from .single_threaded import drain
from .substream import AskAgainError, Substream
from .threads import start_thread

if TYPE_CHECKING:
    from .members import Member

__all__ = ["LATE", "WatchStream"]

LATE = 5.0
"""Seconds that etcd may take to accept a watch."""

CANCELED = "context canceled"
"""What the grpc-proxy ends a call with that will not ask for more. etcd itself goes on."""

_WATCH = Method("/etcdserverpb.Watch/Watch", rpc.WatchRequest, rpc.WatchResponse)


class WatchStream:
    """
    Calls and listens in a thread of its own, until the call breaks or there is nothing to carry.

    A watch that is refused, silent or slow is no reason to end the others. `_lock` guards
    everything; what is over keeps nothing, so that connections that were left can end.

    Args:
        alone: It carries a single watch, all that etcd is ever asked for. Such a call is heard by
            our thread (if the channel is one that we have dialled); what many share is heard by
            one of gRPC's, that has to wake ours. The grpc-proxy ends it at once, and who knows
            what else is on the way: if it brings nothing, *works* is false from then on.
    """

    def __init__(self, caller: Caller, *, alone: bool = False) -> None:
        self.member = ""
        self.works = True
        self._caller, self._alone = caller, alone
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

    @property
    def over(self) -> bool:
        """Say whether it carries nothing any more."""
        return self._over

    def start(self, create: rpc.WatchCreateRequest) -> Substream:
        """
        Begin with what *create* asks for, and return that.

        Raises:
            ConnectionFailedError: No thread can be started now.
        """
        with self._lock:
            watch = self._carry(create)
            self._taken = self._alone
        start_thread(self._run, "etcdnaming-stream")
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

    def fail(self, exc: Exception) -> None:
        """End all that is carried by *exc*."""
        with self._lock:
            self._end()
            for watch in self._carried:
                watch.end(exc)

    def leave(self) -> None:
        """Carry nothing new, and use another member from now on."""
        with self._lock:
            self._taken, self.works, member = True, False, self._member
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
            self._requests.put(self._next_request())

    def _only_request(self) -> rpc.WatchRequest:
        with self._lock:
            return self._next_request()

    def _next_request(self) -> rpc.WatchRequest:
        self._asked = self._wanted.popleft()
        # An etcd of old (3.5.1) refuses a watch under the id that was asked for, 0 if none was, and
        # then tells whoever has that id nothing more.
        self._asked.create.watch_id = next(self._numbers)
        self._patience = Deadline(LATE)
        return rpc.WatchRequest(create_request=self._asked.create)

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
        call = None
        try:
            member, call = self._open()
            self._listen(member, call)
        except Exception as exc:  # noqa: BLE001 - a bug, too, must not look like silence
            self.fail(exc)
        drain(call)

    def _open(self) -> tuple[Member, Answers[rpc.WatchResponse]]:
        if self._alone:
            member, call = self._caller.listen(_WATCH, self._only_request)
        else:
            member, call = self._caller.stream(_WATCH, iter(self._requests.get, None))
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
            if self._alone and exc.details() == CANCELED:
                self.works = False
                raise AskAgainError from exc
            said = understand(exc, member.name, writes=False)
            self._part(member, for_good=said.leave)
            raise said.error from exc
        self._part(member, for_good=True)
        raise ConnectionFailedError(f"{member.name}: connection ended")

    def _part(self, member: Member, *, for_good: bool) -> None:
        # If it was us who ended it, the member is as good as before.
        if for_good and not self._over:
            self._caller.leave(member)

    def _receive(self, response: rpc.WatchResponse) -> None:
        with self._lock:
            # A broken proxy may accept a watch again that has begun long ago.
            begins = response.created and self._asked is not None
            watch = self._created(response) if begins else self._told(response)
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
