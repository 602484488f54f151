"""Run the loops of all registrations of a client, in as few threads as possible."""

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

__all__ = ["RegistrationExecutor", "Task"]

ATTACHMENT_KIND = "registrations"
"""The kind of attachment that the executor is to its client."""

ERROR_PAUSE = 1.0
"""Seconds until a step is repeated that ended with an unforeseen exception."""

MAX_HELPERS = 15
"""Extra threads while several registrations close at once."""


class Task(Protocol):
    """Something that has work to do now and then."""

    def step(self) -> float | None:
        """Work, in a thread of the executor; return the seconds until the next step, if any."""

    def key_changed(self, key: bytes, revision: int) -> None:
        """Note that *key* was changed at *revision* or (0) may have been; must not block."""

    def abandon(self) -> None:
        """End without another call of etcd: the client was closed."""

    def after_fork(self) -> None:
        """Release the threads that wait for the task, in a child: the parent has the executor."""


class RegistrationExecutor:
    """
    What all registrations of *client* share: a keep-alive stream, a watch, and two threads.

    One thread executes steps, the other calls callbacks, so that a slow callback delays no step: a
    thousand registrations need no more threads than one. Only while several of them close at once,
    each with little time, helper threads execute steps too. A task that is executed is in `_busy`,
    so that it is never executed by two threads.

    `_changed` guards everything but *leases*, which has a lock of its own. *leases* calls back with
    that lock held, so it must not be called with `_changed` held. The key watch may be, because it
    calls back without its lock.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.leases = LeaseKeeper(client)
        self._watch = KeyWatch(client, self._key_changed)
        self._changed = threading.Condition()
        self._tasks: set[Task] = set()
        self._ready: OrderedDict[Task, None] = OrderedDict()
        self._urgent: OrderedDict[Task, None] = OrderedDict()
        self._busy: set[Task] = set()
        self._helpers = 0
        self._due: dict[Task, float] = {}
        self._timers: list[tuple[float, int, Task]] = []
        self._numbers = count()
        self._watchers: dict[bytes, set[Task]] = {}
        self._closed = False
        self._callbacks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._callback_thread = 0
        start_thread(self._run_callbacks, "etcdnaming-callbacks")
        try:
            start_thread(self._run, "etcdnaming-registrations")
        except ConnectionFailedError:
            self._callbacks.put(None)
            raise

    @classmethod
    def of(cls, client: Client) -> RegistrationExecutor:
        """
        Return the executor of *client*, for one more task until that is removed.

        Raises:
            ClientClosedError: The client is closed.
            ConnectionFailedError: No thread can be started now.
        """
        return client._attach(ATTACHMENT_KIND, partial(cls, client))

    def add(self, task: Task) -> None:
        """
        Execute *task* whenever it is woken, until it is removed.

        Raises:
            ClientClosedError: The client was closed meanwhile.
        """
        with self._changed:
            if self._closed:
                raise ClientClosedError
            self._tasks.add(task)

    def remove(self, task: Task) -> None:
        """Execute *task* no longer; the last one to be removed closes the executor."""
        with self._changed:
            self._tasks.discard(task)
        self._client._detach(ATTACHMENT_KIND, self)

    def close(self) -> None:
        """End the threads, and abandon the tasks that are left."""
        self.leases.close()
        self._watch.close()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

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

    def wake(self, task: Task, *, urgent: bool = False) -> None:
        """Have a step of *task* executed in its turn or, if *urgent*, before the other tasks'."""
        with self._changed:
            if urgent:
                self._urgent[task] = None
                self._start_helper()
            else:
                self._ready[task] = None
            self._changed.notify()

    def watch_key(self, task: Task, key: bytes) -> None:
        """Call *task* whenever *key* may have changed."""
        with self._changed:
            watchers = self._watchers.setdefault(key, set())
            if watchers and task not in watchers:
                task.key_changed(key, 0)  # the watch has begun before
            self._watch.follow(key)
            watchers.add(task)

    def unwatch_key(self, task: Task, key: bytes) -> None:
        """Don't call *task* for *key* any longer."""
        with self._changed:
            watchers = self._watchers.get(key, set())
            watchers.discard(task)
            if not watchers:
                self._watchers.pop(key, None)
                self._watch.unfollow(key)

    def _run(self) -> None:
        run_steps(self._execute_next, self._pause)
        with self._changed:
            # Helpers may still execute steps, with which nothing else may interfere.
            self._changed.wait_for(lambda: not self._busy)
            left = list(self._tasks)
        for task in left:
            task.abandon()
        self._callbacks.put(None)

    def _execute_next(self) -> bool:
        task = self._wait_for_task()
        if task is None:
            return False
        self._execute(task)
        return True

    def _execute(self, task: Task) -> None:
        """Execute a step of *task*, which is in `_busy` already."""
        pause: float | None = ERROR_PAUSE
        try:
            pause = task.step()
        finally:
            with self._changed:
                self._busy.discard(task)
                self._due.pop(task, None)
                if pause is not None:
                    self._due[task] = when = time.monotonic() + pause
                    heappush(self._timers, (when, next(self._numbers), task))
                self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    def _start_helper(self) -> None:
        is_busy = bool(self._busy) or len(self._urgent) > 1
        if is_busy and self._helpers < MAX_HELPERS:
            with suppress(ConnectionFailedError):  # without more threads it takes longer
                start_thread(self._help, "etcdnaming-registrations-helper")
                self._helpers += 1

    def _help(self) -> None:
        try:
            run_steps(self._execute_urgent, self._pause)
        finally:
            with self._changed:
                self._helpers -= 1

    def _execute_urgent(self) -> bool:
        with self._changed:
            task = self._take_from(self._urgent)
        if task is None:
            return False
        self._execute(task)
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

    def _wait_for_task(self) -> Task | None:
        """Return the next task to execute, which is in `_busy` then; ``None``: it was closed."""
        with self._changed:
            while not self._closed:
                self._move_due_tasks()
                task = self._take_from(self._urgent) or self._take_from(self._ready)
                if task is not None:
                    return task
                self._changed.wait(self._seconds_until_due())
            return None

    def _take_from(self, queue: OrderedDict[Task, None]) -> Task | None:
        task = next((each for each in queue if each not in self._busy), None)
        if task is not None:
            del queue[task]
            self._busy.add(task)
        return task

    def _move_due_tasks(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            when, _, task = heappop(self._timers)
            if self._due.get(task) == when:  # otherwise a later step has set another time
                del self._due[task]
                self._ready[task] = None

    def _seconds_until_due(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _key_changed(self, key: bytes, revision: int) -> None:
        with self._changed:
            watchers = list(self._watchers.get(key, ()))
        for task in watchers:
            task.key_changed(key, revision)
