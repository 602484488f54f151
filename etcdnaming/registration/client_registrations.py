"""What all registrations of a client share: their threads, a keep-alive stream and a watch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Protocol

from ..errors import ClientClosedError, ConnectionFailedError
from ..etcd import Client
from ..etcd.key_watch import KeyWatch
from ..etcd.lease import LeaseKeeper
from ..etcd.threads import Executor, Task, run_steps, start_thread

__all__ = ["ClientRegistrations", "RegistrationTask"]

ATTACHMENT_KIND = "registrations"
"""The kind of attachment that the registrations are to their client."""


class RegistrationTask(Task, Protocol):
    """The work of one registration."""

    def key_changed(self, key: bytes, revision: int) -> None:
        """Note that *key* was changed at *revision* or (0) may have been; must not block."""

    def abandon(self) -> None:
        """End without another call of etcd: the client was closed."""

    def after_fork(self) -> None:
        """Release the threads that wait for it, in a child: the parent has the executor."""


class ClientRegistrations:
    """
    What all registrations of *client* share: a keep-alive stream, a watch, and two threads.

    One thread executes steps, the other calls callbacks, so that a slow callback delays no step: a
    thousand registrations need no more threads than one. Only while several of them close at once,
    each with little time, there are more.

    `_lock` guards the tasks and the watched keys. It is reentrant, because a signal handler may
    interrupt a thread that holds it. *leases* calls back with a lock of its own held, so it must
    not be called with `_lock` held. The key watch may be, because it calls back without its lock.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.leases = LeaseKeeper(client)
        self._watch = KeyWatch(client, self._key_changed)
        self._lock = threading.RLock()
        self._tasks: set[RegistrationTask] = set()
        self._watchers: dict[bytes, tuple[RegistrationTask, ...]] = {}
        self._closed = False
        self._callbacks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._callback_thread = 0
        self._executor = Executor("etcdnaming-registrations", max_threads=1)
        self.wake = self._executor.wake
        start_thread(self._run_callbacks, "etcdnaming-callbacks")
        try:
            self._executor.start()
        except ConnectionFailedError:
            self._callbacks.put(None)
            raise

    @classmethod
    def of(cls, client: Client) -> ClientRegistrations:
        """
        Return what the registrations of *client* share, for one more until that is removed.

        Raises:
            ClientClosedError: The client is closed.
            ConnectionFailedError: No thread can be started now.
        """
        return client._attach(ATTACHMENT_KIND, partial(cls, client))

    def add(self, task: RegistrationTask) -> None:
        """
        Keep *task*, which is executed whenever it is woken, until it is removed.

        Raises:
            ClientClosedError: The client was closed meanwhile.
        """
        with self._lock:
            if self._closed:
                raise ClientClosedError
            self._tasks.add(task)

    def remove(self, task: RegistrationTask) -> None:
        """Execute *task* no longer; with the last one, the threads end."""
        with self._lock:
            self._tasks.discard(task)
        self._client._detach(ATTACHMENT_KIND, self)

    def close(self) -> None:
        """End the threads, and abandon the tasks that are left."""
        self.leases.close()
        self._watch.close()
        with self._lock:
            self._closed = True
        self._executor.close(self._abandon)

    def after_fork(self) -> None:
        """Release the threads that wait for a registration, in a child."""
        for task in list(self._tasks):
            task.after_fork()

    @property
    def in_callback(self) -> bool:
        """Return whether the calling thread is the one that calls callbacks."""
        return threading.get_ident() == self._callback_thread

    def call_back(self, callback: Callable[[], None]) -> None:
        """Have *callback* called, after all earlier ones."""
        self._callbacks.put(callback)

    def watch_key(self, task: RegistrationTask, key: bytes) -> None:
        """Call *task* whenever *key* may have changed."""
        with self._lock:
            watchers = self._watchers.get(key, ())
            if watchers and task not in watchers:
                task.key_changed(key, 0)  # the watch has begun before
            self._watch.follow(key)
            if task not in watchers:
                self._watchers[key] = (*watchers, task)

    def unwatch_key(self, task: RegistrationTask, key: bytes) -> None:
        """Don't call *task* for *key* any longer."""
        with self._lock:
            watchers = self._watchers.pop(key, ())
            if left := tuple(watcher for watcher in watchers if watcher is not task):
                self._watchers[key] = left
            else:
                self._watch.unfollow(key)

    def _key_changed(self, key: bytes, revision: int) -> None:
        with self._lock:
            watchers = self._watchers.get(key, ())
        for task in watchers:
            task.key_changed(key, revision)

    def _abandon(self) -> None:
        run_steps(self._abandon_one, time.sleep)
        self._callbacks.put(None)

    def _abandon_one(self) -> bool:
        with self._lock:
            task = next(iter(self._tasks), None)
        if task is None:
            return False
        task.abandon()  # removed after it is done: if it fails it is repeated, not lost
        with self._lock:
            self._tasks.discard(task)
        return True

    def _run_callbacks(self) -> None:
        self._callback_thread = threading.get_ident()
        run_steps(self._run_callback, time.sleep)

    def _run_callback(self) -> bool:
        callback = self._callbacks.get()
        if callback is None:
            return False
        callback()
        return True
