"""The server's thread: gRPC's connections in, its requests answered, changes pushed."""

from __future__ import annotations

import heapq
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Protocol

from ...etcd.threads import run_steps, start_thread
from ...log import logger
from .. import xds_pb2 as xds
from ..names import Kind
from ..stream import Response, Source, Stream
from .connection import Connection
from .private_socket import PrivateSocket

__all__ = ["Owner", "Server"]

_log = logger(__name__)


class Owner(Source, Protocol):
    """What the server serves. It is called by the server's thread, with `lock` held."""

    lock: threading.Condition
    """Notified whenever gRPC has accepted or refused something."""

    def subscribed(self, name: str, *, wanted: bool) -> None:
        """The first stream asks for the assignment *name*, or the last one does not any more."""

    def refused(self, kind: Kind, stream: Stream, reason: str) -> None:
        """GRPC does not accept the newest answer of *kind* on *stream*."""

    def broken(self, names: Collection[str]) -> None:
        """A connection ended while a stream asked for the listeners *names*."""


class _Peer:
    """A connection of gRPC's core: one for each of its xDS clients."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket, self.connection = connected, Connection()
        self.streams: dict[int, Stream] = {}
        self.unwritten = bytearray()
        self.changed: dict[int, set[tuple[Kind, str]]] = {}


class Server:
    """
    Serves *owner*'s resources to gRPC in this process, in a thread of its own, to its end.

    The owner's lock guards all state but the timers and the changes that other threads announce;
    these have a lock of their own, so that no announcement waits for the owner.

    Args:
        number: See `PrivateSocket`.

    Raises:
        ConnectionFailedError: No thread can be started now.
        OSError: No socket can be made now.
    """

    def __init__(self, owner: Owner, number: int | None = None) -> None:
        self._owner = owner
        self._private = PrivateSocket(number)
        self.uri = self._private.uri
        self._woken, self._waker = socket.socketpair()
        for each in (self._woken, self._waker):
            each.settimeout(0)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._private.listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._peers: dict[socket.socket, _Peer] = {}
        self._users: Counter[str] = Counter()
        # Reentrant: the garbage collector may free a channel, and so call `call_later`, anywhere.
        self._announced_lock = threading.RLock()
        self._announced: set[tuple[Kind, str]] = set()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        start_thread(partial(run_steps, self._step, time.sleep), "etcdnaming-xds-server")

    # -- for any thread

    def announce(self, kind: Kind, name: str) -> None:
        """Send the resource to the streams that ask for it, unless they have it as it is now."""
        with self._announced_lock:
            self._announced.add((kind, name))
        self._wake()

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have the thread call *call* in *seconds*, with the owner's lock held."""
        with self._announced_lock:
            due = time.monotonic() + seconds
            heapq.heappush(self._timers, (due, next(self._numbers), call))
        self._wake()

    def has_accepted(self, listener: str, version: int) -> bool:
        """
        Return whether all streams that ask for *listener* have accepted *version* of the table.

        The caller holds the owner's lock.
        """
        return all(
            int(stream.subscriptions[Kind.LISTENER].accepted_version or 0) >= version
            for peer in self._peers.values()
            for stream in peer.streams.values()
            if listener in stream.names(Kind.LISTENER)
        )

    def after_fork(self) -> int | None:
        """
        Leave everything to the parent, in a child; return the number of the private socket.

        Nothing may be unregistered: the parent's selector is the same one for the kernel.
        """
        for peer in self._peers.values():
            peer.socket.close()
        self._woken.close()
        self._waker.close()
        self._selector.close()
        return self._private.leave_to_parent()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # it is awake, with so many wake-ups unread
            self._waker.send(b"\0")

    # -- the thread

    def _step(self) -> bool:
        ready = self._selector.select(self._time_left())
        with self._owner.lock:
            for key, events in ready:
                if key.fileobj is self._private.listener:
                    self._accept()
                elif key.fileobj is self._woken:
                    with suppress(BlockingIOError):
                        self._woken.recv(4096)
                else:
                    peer = self._peers.get(key.fileobj)  # type: ignore[call-overload]
                    if peer:
                        self._guarded(peer, partial(self._serve, peer, events))
            self._mark_changes()
            self._call_due()
            for peer in [*self._peers.values()]:
                self._guarded(peer, partial(self._write, peer))
            self._owner.lock.notify_all()
        return True

    def _time_left(self) -> float | None:
        with self._announced_lock:
            times = [self._timers[0][0]] if self._timers else []
        times += [
            stream.resend_at
            for peer in self._peers.values()
            for stream in peer.streams.values()
            if stream.resend_at is not None
        ]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _accept(self) -> None:
        with suppress(OSError):  # gone again
            connected, _ = self._private.listener.accept()
            connected.settimeout(0)
            self._selector.register(connected, selectors.EVENT_READ)
            self._peers[connected] = _Peer(connected)

    def _guarded(self, peer: _Peer, work: Callable[[], None]) -> None:
        """Do *work*; if that fails, drop the peer alone: gRPC connects again."""
        try:
            work()
        except Exception:  # noqa: BLE001 - a bug, too, must not end the other services
            _log.exception("a connection of gRPC's is dropped after an error")
            self._drop(peer)

    def _serve(self, peer: _Peer, events: int) -> None:
        if not events & selectors.EVENT_READ:
            return
        try:
            data = peer.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(peer)
            return
        for stream, message in peer.connection.receive(data):
            if message is None:
                ended = peer.streams.pop(stream, None)
                if ended:
                    self._count(ended.names(Kind.ASSIGNMENT), frozenset())
            else:
                self._receive(peer, stream, xds.DiscoveryRequest.FromString(message))

    def _receive(self, peer: _Peer, number: int, request: xds.DiscoveryRequest) -> None:
        stream = peer.streams.get(number)
        if stream is None:
            stream = peer.streams[number] = Stream(self._owner)
        before = stream.names(Kind.ASSIGNMENT)
        receipt = stream.receive(request, time.monotonic())
        self._count(before, stream.names(Kind.ASSIGNMENT))
        if receipt.refused:
            kind = next(kind for kind in Kind if kind.type_url == request.type_url)
            self._owner.refused(kind, stream, receipt.refused)
        if receipt.response:
            self._send(peer, number, receipt.response)

    def _count(self, before: frozenset[str], after: frozenset[str]) -> None:
        for name in after - before:
            self._users[name] += 1
            if self._users[name] == 1:
                self._owner.subscribed(name, wanted=True)
        for name in before - after:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name]
                self._owner.subscribed(name, wanted=False)

    def _mark_changes(self) -> None:
        with self._announced_lock:
            announced, self._announced = self._announced, set()
        for peer in self._peers.values() if announced else ():
            for number, stream in peer.streams.items():
                changed = {each for each in announced if each[1] in stream.names(each[0])}
                if changed:
                    peer.changed.setdefault(number, set()).update(changed)

    def _call_due(self) -> None:
        while True:
            with self._announced_lock:
                if not self._timers or self._timers[0][0] > time.monotonic():
                    return
                _, _, call = heapq.heappop(self._timers)
            try:
                call()
            except Exception:  # noqa: BLE001 - the other calls must not be lost
                _log.exception("the xDS server goes on after an error")

    def _write(self, peer: _Peer) -> None:
        for number, stream in peer.streams.items():
            for response in self._due_responses(peer, number, stream):
                self._send(peer, number, response)
        peer.unwritten += peer.connection.to_send()
        try:
            while peer.unwritten:
                del peer.unwritten[: peer.socket.send(peer.unwritten)]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(peer)
            return
        writes = selectors.EVENT_WRITE if peer.unwritten else 0
        self._selector.modify(peer.socket, selectors.EVENT_READ | writes)

    def _due_responses(self, peer: _Peer, number: int, stream: Stream) -> Iterator[Response]:
        """
        Yield what is to be sent once more, and what has changed.

        There is one unacknowledged answer of a type at a time: changes add up meanwhile, and a
        table is known to be accepted only if no older one is under way.
        """
        now = time.monotonic()
        if stream.resend_at is not None and stream.resend_at <= now:
            response = stream.resend(now)
            if response:
                yield response
        marked = peer.changed.get(number, set())
        for kind in {kind for kind, _ in marked}:
            if stream.is_pending(kind) or not peer.connection.is_sent(number):
                continue
            names = {name for each, name in marked if each is kind}
            marked -= {(kind, name) for name in names}
            response = stream.push(kind, names, now)
            if response:
                yield response
        if not marked:
            peer.changed.pop(number, None)

    def _send(self, peer: _Peer, number: int, response: Response) -> None:
        peer.connection.send(number, response.encoded())

    def _drop(self, peer: _Peer) -> None:
        if self._peers.pop(peer.socket, None) is None:
            return
        self._selector.unregister(peer.socket)
        peer.socket.close()
        for stream in peer.streams.values():
            self._owner.broken(stream.names(Kind.LISTENER))
            self._count(stream.names(Kind.ASSIGNMENT), frozenset())
