"""The thread that does what the registrations of a client need of etcd, one thing after another."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from queue import SimpleQueue
from typing import Protocol

from ..etcd import Client
from ..etcd.key_watch import KeyWatch
from ..etcd.lease import LeaseKeeper

__all__ = ["Registrar", "Worker"]


class Worker(Protocol):
    """Somebody who has something to do now and then."""

    def step(self) -> float | None:
        """Do it, in the registrar's thread; return the seconds until the next time, if any."""

    def key_changed(self, key: bytes, revision: int) -> None:
        """Take notice that *key* was, or (0) may have been, changed; must not wait."""


class Registrar:
    """
    What all registrations of *client* share: a keep-alive stream, a watch, and two threads.

    One works, the other tells, so that who is told may take his time. The first to join makes all
    that, the last to part ends it: a thousand registrations need no more threads than one.
    `_changed` guards everything but *leases*, who guards himself.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.leases = LeaseKeeper(client)
        self._keys = KeyWatch(client, self._key_changed)
        self._changed = threading.Condition()
        self._members = 0
        self._ready: OrderedDict[Worker, None] = OrderedDict()
        self._due: dict[Worker, float] = {}
        self._agenda: list[tuple[float, int, Worker]] = []
        self._numbers = count()
        self._followers: dict[bytes, set[Worker]] = {}
        self._closed = False
        self._to_tell: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._teller = threading.Thread(target=self._tell, name="etcdnaming-teller", daemon=True)
        self._teller.start()
        threading.Thread(target=self._run, name="etcdnaming-registrar", daemon=True).start()

    @classmethod
    def join(cls, client: Client) -> Registrar:
        """Return the registrar of *client*."""
        with _lock:
            registrar = _registrars.get(client)
            if registrar is None:
                registrar = _registrars[client] = cls(client)
            registrar._members += 1
            return registrar

    def part(self) -> None:
        """Leave it to the others; if there are none, it ends."""
        with _lock:
            self._members -= 1
            if self._members:
                return
            del _registrars[self._client]
        self.leases.close()
        self._keys.close()
        self._to_tell.put(None)
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def is_telling(self) -> bool:
        """Say whether it is somebody who was told that asks."""
        return threading.current_thread() is self._teller

    def tell(self, telling: Callable[[], None]) -> None:
        """Have *telling* called, after all that were told before."""
        self._to_tell.put(telling)

    def wake(self, worker: Worker, *, urgent: bool = False) -> None:
        """Have *worker* make a step when it is his turn, or before all others."""
        with self._changed:
            self._ready[worker] = None
            if urgent:
                self._ready.move_to_end(worker, last=False)
            self._changed.notify()

    def follow(self, worker: Worker, key: bytes) -> None:
        """Tell *worker* whenever *key* may have changed."""
        with self._changed:
            followers = self._followers.setdefault(key, set())
            if followers and worker not in followers:
                worker.key_changed(key, 0)  # the watch has begun without him
            followers.add(worker)
            self._keys.follow(key)

    def unfollow(self, worker: Worker, key: bytes) -> None:
        """Don't tell him of *key* any longer."""
        with self._changed:
            followers = self._followers.get(key, set())
            followers.discard(worker)
            if not followers:
                self._followers.pop(key, None)
                self._keys.unfollow(key)

    def _run(self) -> None:
        while worker := self._next():
            pause = worker.step()
            with self._changed:
                self._due.pop(worker, None)
                if pause is not None:
                    self._due[worker] = when = time.monotonic() + pause
                    heappush(self._agenda, (when, next(self._numbers), worker))

    def _tell(self) -> None:
        for telling in iter(self._to_tell.get, None):
            telling()

    def _next(self) -> Worker | None:
        """Wait for somebody who has something to do; there is nobody any more: ``None``."""
        with self._changed:
            while not self._closed:
                self._call_who_is_due()
                if self._ready:
                    return self._ready.popitem(last=False)[0]
                self._changed.wait(self._idle())
            return None

    def _call_who_is_due(self) -> None:
        while self._agenda and self._agenda[0][0] <= time.monotonic():
            when, _, worker = heappop(self._agenda)
            if self._due.get(worker) == when:  # else it was said anew since
                del self._due[worker]
                self._ready[worker] = None

    def _idle(self) -> float | None:
        return max(0.0, self._agenda[0][0] - time.monotonic()) if self._agenda else None

    def _key_changed(self, key: bytes, revision: int) -> None:
        with self._changed:
            followers = list(self._followers.get(key, ()))
        for worker in followers:
            worker.key_changed(key, revision)


_registrars: dict[Client, Registrar] = {}
_lock = threading.Lock()
"""Guards `_registrars`, and how many have joined each."""
