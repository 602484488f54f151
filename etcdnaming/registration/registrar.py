"""The thread that does what the registrations of a client need of etcd, one thing after another."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from heapq import heappop, heappush
from itertools import count
from queue import SimpleQueue
from typing import Protocol

from ..errors import ClientClosedError, ConnectionFailedError
from ..etcd import Client
from ..etcd.key_watch import KeyWatch
from ..etcd.lease import LeaseKeeper
from ..etcd.threads import run_steps, start_thread

__all__ = ["Registrar", "Worker"]

KIND = "registrations"
"""What it is to its client."""

ERROR_PAUSE = 1.0
"""Seconds until a step is made again that an error has ended which nobody foresaw."""

MOST_HELPERS = 15
"""Threads that help out while several registrations end at once."""


class Worker(Protocol):
    """Somebody who has something to do now and then."""

    def step(self) -> float | None:
        """Do it, in a thread of the registrar; return the seconds until the next time, if any."""

    def key_changed(self, key: bytes, revision: int) -> None:
        """Take notice that *key* was, or (0) may have been, changed; must not wait."""

    def abandon(self) -> None:
        """End without another call of etcd: the client was closed."""

    def after_fork(self) -> None:
        """Release whoever waits for it in a child process: the parent has all the threads."""


class Registrar:
    """
    What all registrations of *client* share: a keep-alive stream, a watch, and two threads.

    One works, the other tells, so that who is told may take his time: a thousand registrations need
    no more threads than one. Only while several of them end at once, each of which has little time,
    more threads work, but never two for one registration. `_changed` guards everything but
    *leases*, who guards himself.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.leases = LeaseKeeper(client)
        self._keys = KeyWatch(client, self._key_changed)
        self._changed = threading.Condition()
        self._workers: set[Worker] = set()
        self._ready: OrderedDict[Worker, None] = OrderedDict()
        self._urgent: OrderedDict[Worker, None] = OrderedDict()
        self._busy: set[Worker] = set()
        self._helpers = 0
        self._due: dict[Worker, float] = {}
        self._agenda: list[tuple[float, int, Worker]] = []
        self._numbers = count()
        self._followers: dict[bytes, set[Worker]] = {}
        self._closed = False
        self._to_tell: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._teller = 0
        start_thread(self._tell, "etcdnaming-teller")
        try:
            start_thread(self._run, "etcdnaming-registrar")
        except ConnectionFailedError:
            self._to_tell.put(None)
            raise

    @classmethod
    def join(cls, client: Client) -> Registrar:
        """
        Return the registrar of *client*, for one more worker until that parts.

        Raises:
            ClientClosedError: The client is closed.
            ConnectionFailedError: No thread can be started now.
        """
        return client.attach(KIND, partial(cls, client))

    def admit(self, worker: Worker) -> None:
        """
        Let *worker* work, from now on until it parts.

        Raises:
            ClientClosedError: The client was closed meanwhile.
        """
        with self._changed:
            if self._closed:
                raise ClientClosedError
            self._workers.add(worker)

    def part(self, worker: Worker) -> None:
        """Leave it to the others; if there are none, it ends."""
        with self._changed:
            self._workers.discard(worker)
        self._client.detach(KIND, self)

    def close(self) -> None:
        """End, and whatever has not parted with it."""
        self.leases.close()
        self._keys.close()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def after_fork(self) -> None:
        """Release those who wait for a registration in a child."""
        for worker in list(self._workers):
            worker.after_fork()

    @property
    def is_telling(self) -> bool:
        """Say whether it is somebody who was told that asks."""
        return threading.get_ident() == self._teller

    def tell(self, telling: Callable[[], None]) -> None:
        """Have *telling* called, after all that were told before."""
        self._to_tell.put(telling)

    def wake(self, worker: Worker, *, urgent: bool = False) -> None:
        """Have *worker* make a step when it is his turn, or before all others."""
        with self._changed:
            if urgent:
                self._urgent[worker] = None
                self._find_help()
            else:
                self._ready[worker] = None
            self._changed.notify()

    def follow(self, worker: Worker, key: bytes) -> None:
        """Tell *worker* whenever *key* may have changed."""
        with self._changed:
            followers = self._followers.setdefault(key, set())
            if followers and worker not in followers:
                worker.key_changed(key, 0)  # the watch has begun without him
            self._keys.follow(key)
            followers.add(worker)

    def unfollow(self, worker: Worker, key: bytes) -> None:
        """Don't tell him of *key* any longer."""
        with self._changed:
            followers = self._followers.get(key, set())
            followers.discard(worker)
            if not followers:
                self._followers.pop(key, None)
                self._keys.unfollow(key)

    def _run(self) -> None:
        run_steps(self._work, self._pause)
        with self._changed:
            # Helpers may still be at a step, which nothing else may interfere with.
            self._changed.wait_for(lambda: not self._busy)
            left = list(self._workers)
        for worker in left:
            worker.abandon()
        self._to_tell.put(None)

    def _work(self) -> bool:
        worker = self._next()
        if worker is None:
            return False
        self._let_work(worker)
        return True

    def _let_work(self, worker: Worker) -> None:
        """Let *worker*, which is busy by now, make a step."""
        pause: float | None = ERROR_PAUSE
        try:
            pause = worker.step()
        finally:
            with self._changed:
                self._busy.discard(worker)
                self._due.pop(worker, None)
                if pause is not None:
                    self._due[worker] = when = time.monotonic() + pause
                    heappush(self._agenda, (when, next(self._numbers), worker))
                self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    def _find_help(self) -> None:
        is_busy = bool(self._busy) or len(self._urgent) > 1
        if is_busy and self._helpers < MOST_HELPERS:
            with suppress(ConnectionFailedError):  # no more threads: it takes longer
                start_thread(self._help, "etcdnaming-registrar-helper")
                self._helpers += 1

    def _help(self) -> None:
        try:
            run_steps(self._work_urgently, self._pause)
        finally:
            with self._changed:
                self._helpers -= 1

    def _work_urgently(self) -> bool:
        with self._changed:
            worker = self._take_from(self._urgent)
        if worker is None:
            return False
        self._let_work(worker)
        return True

    def _tell(self) -> None:
        self._teller = threading.get_ident()
        run_steps(self._tell_one, time.sleep)

    def _tell_one(self) -> bool:
        telling = self._to_tell.get()
        if telling is None:
            return False
        telling()
        return True

    def _next(self) -> Worker | None:
        """Return one who has something to do, busy from now on; ``None``: this is the end."""
        with self._changed:
            while not self._closed:
                self._call_who_is_due()
                worker = self._take_from(self._urgent) or self._take_from(self._ready)
                if worker is not None:
                    return worker
                self._changed.wait(self._idle())
            return None

    def _take_from(self, queue: OrderedDict[Worker, None]) -> Worker | None:
        worker = next((each for each in queue if each not in self._busy), None)
        if worker is not None:
            del queue[worker]
            self._busy.add(worker)
        return worker

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
