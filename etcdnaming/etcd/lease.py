"""
Keep all leases of a client alive, on one stream.

Each is renewed at a third of the TTL that was granted, with one request at a time. Only answers
decide whether it is alive: a lease that got none for a TTL is silent, whatever the state of the
stream, and requests go on until etcd says that it is alive or gone.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import ceil
from queue import SimpleQueue
from typing import TypeAlias

import grpc

from ..errors import (
    AuthenticationError,
    ConnectionFailedError,
    EtcdError,
    InvalidAnswerError,
    TLSError,
    TokenRefusedError,
)
from ..model import Lease
from . import rpc_pb2 as rpc
from .answers import classify, fault_of_ttl
from .calls import Caller, Method, ResponseStream
from .client import Client
from .deadline import MAX_STREAM_PAUSE, Backoff, jittered
from .members import Member
from .threads import Executor, run_steps, start_thread

__all__ = ["LeaseKeeper", "LeaseState"]

ANSWER_SHARE = 0.45
"""
The part of a TTL that an answer may take before the stream switches to another member.

The grpc-proxy answers when it next asks etcd itself: after a third of a TTL, and half a second.
"""

_KEEP_ALIVE = Method(
    "/etcdserverpb.Lease/LeaseKeepAlive", rpc.LeaseKeepAliveRequest, rpc.LeaseKeepAliveResponse
)


class LeaseState(enum.Enum):
    """The state of a lease, as it is reported."""

    SILENT = "silent"
    """No good answer for a TTL; it may have expired."""

    ALIVE = "alive"
    """It was silent, and is alive."""

    GONE = "gone"
    """etcd does not know it any more. No more requests are sent for it."""

    BLOCKED = "blocked"
    """It can't be renewed until a file or the login is repaired. Reported once an outage."""


_NEED_REPAIR = (TLSError, AuthenticationError)

_Report: TypeAlias = Callable[[LeaseState, str], None]


class LeaseKeeper:
    """
    Keeps leases of *client* alive, with two threads from the first lease to `close`.

    One sends what is due (a task for each lease), the other (of the stream) reads. `_lock` guards
    everything. Both report the state of a lease with that lock held, so that reports come in order:
    *report* must neither wait nor call this object.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.RLock()  # a signal handler may ask for a renewal
        self._kept: dict[int, _Kept] = {}
        self._stream: _KeepAliveStream | None = None
        self._executor = Executor("etcdnaming-leases", max_threads=1)
        self._open = False
        self._last_answer = 0.0
        self._trouble = ""

    def keep(self, lease: Lease, report: _Report) -> None:
        """
        Keep *lease* alive until it is forgotten or gone; *report* is called with its state.

        Raises:
            ConnectionFailedError: No thread can be started now; *lease* is not kept alive.
        """
        with self._lock:
            if self._stream is None:
                self._begin()
            kept = _Kept(lease, report, self._attend_to, time.monotonic())
            self._kept[lease.id] = kept
            self._executor.wake(kept)

    def forget(self, lease: int) -> None:
        """Keep *lease* alive no longer."""
        with self._lock:
            kept = self._kept.pop(lease, None)
            if kept:
                self._executor.wake(kept)  # for the last time, so that nothing refers to it

    def renewal(self, lease: int) -> tuple[int, float] | None:
        """
        Return the TTL of *lease* and when it began to run last, by `time.monotonic`.

        That is when the last request was sent that etcd has confirmed. ``None``: it is not kept.
        """
        with self._lock:
            kept = self._kept.get(lease)
            return None if kept is None else (kept.ttl, kept.deadline - kept.ttl)

    def close(self) -> None:
        """Forget all leases, and end the stream."""
        with self._lock:
            self._kept.clear()
            self._executor.close()
            if self._stream:
                self._stream.close()

    def opened(self) -> None:
        """Send a request for every lease on a new stream: those on the last one are lost."""
        now = time.monotonic()
        with self._lock:
            self._open, self._last_answer = True, now
            for kept in self._kept.values():
                kept.asked, kept.due = None, now
                self._executor.wake(kept)

    def received(self, response: rpc.LeaseKeepAliveResponse) -> None:
        """Handle the answer to the last request for a lease; an `EtcdError` ends the call."""
        with self._lock:
            self._last_answer, self._trouble = time.monotonic(), ""
            kept = self._kept.get(response.ID)
            if kept is None or kept.asked is None:
                return
            if fault := fault_of_ttl(response.TTL, kept.ttl):
                raise InvalidAnswerError(fault)  # no good answer, and no TTL to wait for
            if response.TTL <= 0:  # 0 from etcd itself, -1 from its proxy
                kept.report(LeaseState.GONE, "etcd does not know it any more")
                self.forget(response.ID)
                return
            if kept.silent:
                kept.report(LeaseState.ALIVE, "")
            # An answer in time changes nothing that is planned, and no thread wakes up for it.
            changes_plan = kept.silent or kept.ttl != response.TTL or kept.due <= self._last_answer
            kept.answered(kept.asked, response.TTL)
            if changes_plan:
                self._executor.wake(kept)

    def broken(self, exc: EtcdError) -> None:
        """Send nothing until there is a new stream."""
        with self._lock:
            self._open, self._trouble = False, str(exc)
            some = next(iter(self._kept), 0)
            if isinstance(exc, _NEED_REPAIR) and not isinstance(exc, TokenRefusedError):
                for kept in self._kept.values():
                    kept.block(str(exc))
        if isinstance(exc, TokenRefusedError):
            with suppress(EtcdError):  # a new stream would get the same error
                self._client.lease_time_to_live(some)  # renews the token

    def _begin(self) -> None:
        stream = _KeepAliveStream(self._client._caller, self)
        try:
            self._executor.start()
        except EtcdError:
            stream.close()
            raise
        self._stream = stream

    def _attend_to(self, kept: _Kept) -> float | None:
        """Do what is due for *kept*; return the seconds until it needs attention again."""
        with self._lock:
            now = time.monotonic()
            if self._kept.get(kept.id) is not kept or self._stream is None:
                return None  # forgotten
            if not kept.silent and now >= kept.deadline:
                why = f": {self._trouble}" if self._trouble else ""
                kept.report(LeaseState.SILENT, f"no answer for {kept.ttl} s{why}")
                kept.silent = True
            if self._open and kept.asked is None and now >= kept.due:
                kept.ask(now)
                self._stream.send(rpc.LeaseKeepAliveRequest(ID=kept.id))
            elif self._open and kept.asked is not None and now >= self._answer_due(kept):
                self._open = False
                self._stream.switch_member()
            times = [] if kept.silent else [kept.deadline]
            if self._open:
                # The time for an answer ends after the next request is due.
                is_late = kept.asked is not None and kept.due <= now
                times.append(self._answer_due(kept) if is_late else kept.due)
            return max(0.0, min(times) - time.monotonic()) if times else None

    def _answer_due(self, kept: _Kept) -> float:
        asked = kept.asked or 0.0
        # A stream that answers for other leases is not dead: a thousand are answered one by one.
        return min(max(asked, self._last_answer) + ANSWER_SHARE * kept.ttl, asked + kept.ttl)


class _Kept:
    """A lease: when a request was sent (*asked*), is *due*, and until when the lease is alive."""

    __slots__ = (
        "asked",
        "attend",
        "blocked_by",
        "deadline",
        "due",
        "id",
        "report",
        "silent",
        "ttl",
    )

    def __init__(
        self, lease: Lease, report: _Report, attend: Callable[[_Kept], float | None], now: float
    ) -> None:
        self.id, self.ttl, self.report, self.attend = lease.id, lease.ttl, report, attend
        self.deadline = now + lease.ttl
        self.due = now
        self.asked: float | None = None
        self.silent = False
        self.blocked_by = ""

    def step(self) -> float | None:
        return self.attend(self)

    def block(self, why: str) -> None:
        if why != self.blocked_by:
            self.blocked_by = why
            self.report(LeaseState.BLOCKED, why)

    def ask(self, now: float) -> None:
        self.asked = now
        # Rounded, so that with a thousand leases a thread wakes up for several at a time.
        step = self.ttl / 100
        self.due = step * ceil((now + jittered(self.ttl / 3)) / step)

    def answered(self, asked: float, ttl: int) -> None:
        self.ttl, self.silent, self.blocked_by = ttl, False, ""
        self.deadline = asked + ttl  # the TTL began when etcd got the request, or later
        self.asked = None


class _KeepAliveStream:
    """
    The call that keeps leases alive: opened again whenever it ends, until it is closed.

    A thread of its own calls, reads and passes on to *keeper* what comes, without a lock; any other
    may send. `_lock` guards `_call` and `_closed`, so that no member is called after the end.
    `send` and `switch_member` read `_call` without it: a call that has just ended ignores both. So
    the keeper may call them with a lock that it takes when it is called, too.

    Raises:
        ConnectionFailedError: No thread can be started now.
    """

    def __init__(self, caller: Caller, keeper: LeaseKeeper) -> None:
        self._caller, self._keeper = caller, keeper
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._call: _Call | None = None
        self._backoff = Backoff(MAX_STREAM_PAUSE)
        start_thread(partial(run_steps, self._call_once, self._closed.wait), "etcdnaming-keepalive")

    def send(self, request: rpc.LeaseKeepAliveRequest) -> None:
        """Send *request*, if there is a call; if not, the keeper sends all again on the next."""
        call = self._call
        if call:
            call.requests.put(request)

    def switch_member(self) -> None:
        """End the call, whose member does not answer, and call another one."""
        call = self._call
        if call:
            call.silent = True
            call.end()

    def close(self) -> None:
        """End it, at once and from any thread."""
        with self._lock:
            self._closed.set()
            if self._call:
                self._call.end()

    def _call_once(self) -> bool:
        """Call until that ends, and pause; return whether there is to be another call."""
        if self._closed.is_set():
            return False
        try:
            self._read(self._open())
        except EtcdError as exc:
            if not self._closed.is_set():
                self._keeper.broken(exc)
                self._closed.wait(self._backoff.pause_after(exc))
        except Exception as exc:
            # Whatever it was, the call is over, and the keeper must not take it for open.
            if not self._closed.is_set():
                self._keeper.broken(ConnectionFailedError(str(exc)))
                raise
        return True

    def _open(self) -> _Call:
        requests: SimpleQueue[rpc.LeaseKeepAliveRequest | None] = SimpleQueue()
        member, responses = self._caller.open_bidi(_KEEP_ALIVE, iter(requests.get, None))
        call = _Call(member, responses, requests)
        with self._lock:
            self._call = call
            if self._closed.is_set():
                call.end()
        return call

    def _read(self, call: _Call) -> None:
        """Handle the responses until the call ends."""
        self._backoff.opened()
        try:
            self._keeper.opened()
            for response in call.responses:
                self._keeper.received(response)
        except grpc.RpcError as exc:
            raise self._failure(call, exc) from exc
        except InvalidAnswerError as exc:
            self._caller.leave(call.member)
            raise InvalidAnswerError(exc.fault, call.member.name) from exc
        finally:
            self._call = None
            call.end()
            self._backoff.ended()
        self._caller.leave(call.member)
        raise ConnectionFailedError(f"{call.member.name}: connection ended")

    def _failure(self, call: _Call, exc: grpc.RpcError) -> EtcdError:
        failure = classify(exc, call.member.name, writes=False)
        if failure.leave and not self._closed.is_set():
            self._caller.leave(call.member)
        if call.silent:
            return ConnectionFailedError(f"{call.member.name}: no answer")
        return failure.error


class _Call:
    """One call. *silent*: we have ended it, because the member did not answer."""

    def __init__(
        self,
        member: Member,
        responses: ResponseStream[rpc.LeaseKeepAliveResponse],
        requests: SimpleQueue[rpc.LeaseKeepAliveRequest | None],
    ) -> None:
        self.member, self.responses, self.requests = member, responses, requests
        self.silent = False

    def end(self) -> None:
        self.requests.put(None)
        self.responses.cancel()
