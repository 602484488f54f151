"""
Background threads: how they start and go on after an error, an executor of many tasks, a queue.

A full process table, exhausted memory or a bug may hit any of them at any moment. A thread that
ends leaves its leases, watches or registrations behind without a sign. So it never does: it logs
the error, pauses and goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import inf
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar

from ..errors import ClosedError, ConnectionFailedError
from ..log import logger
from .deadline import full_jitter

__all__ = ["BoundedQueue", "Executor", "Task", "no_thread", "run_steps", "start_thread"]

_log = logger(__name__)

Item = TypeVar("Item")


def start_thread(run: Callable[[], object], name: str) -> None:
    """
    Start a daemon thread.

    Raises:
        ConnectionFailedError: No thread can be started now; retrying may help.
    """
    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError as exc:
        raise no_thread(exc) from exc


def no_thread(exc: RuntimeError) -> ConnectionFailedError:
    """Return the error for a thread that Python could not start."""
    return ConnectionFailedError(
        f"{exc}: the user or the container has as many processes and threads as it may have"
    )


def run_steps(step: Callable[[], bool], pause: Callable[[float], object]) -> None:
    """
    Call *step* again and again, until it returns false.

    An exception is logged; then *pause* is called with the seconds to wait before the next step.
    """
    failures = 0
    while True:
        try:
            if not step():
                return
            failures = 0
        except Exception:  # noqa: BLE001 - whatever it is, the thread's work has to go on
            failures += 1
            _log.exception("%s goes on after an error", threading.current_thread().name)
            pause(full_jitter(failures))


MAX_THREADS = 8
"""Threads of an executor while some of them wait for an etcd that does not answer."""

MAX_URGENT_THREADS = 15
"""Threads beyond those, while several urgent steps are due at once."""

ERROR_PAUSE = 1.0
"""Seconds until a step is repeated that ended with an unforeseen exception."""

URGENT = 0.0
"""The time of a step that precedes all others."""


class Task(Protocol):
    """Something that has work to do now and then."""

    def step(self) -> float | None:
        """Do it; return the seconds until there is more, ``None``: not before it is woken."""


class Executor:
    """
    Executes no task in two threads at a time.

    One thread is enough for any number of tasks. It starts with the first one, and ends when no
    step is planned any more; after `start` it stays until `close`. If a task is woken while all
    threads are busy, or another step is due when one begins, one more thread starts, up to
    *max_threads*; it ends when there is less to do. Urgent steps come first, and have threads of
    their own if the others are busy.

    `_changed` guards everything, and no task is called with it: a task may hold its own lock when
    it wakes itself.
    """

    def __init__(self, name: str, max_threads: int | None = None) -> None:
        self._name = name
        self._max_threads = max_threads or MAX_THREADS
        self._changed = threading.Condition()
        # A timer names no task, so that an old one keeps no task that has ended.
        self._timers: list[tuple[float, int]] = []
        self._planned: dict[int, Task] = {}
        self._timer_of: dict[Task, tuple[float, int]] = {}
        self._numbers = count(1)
        self._busy: dict[Task, float] = {}
        self._threads = 0
        self._waits = self._stays = False
        self._closed = threading.Event()
        self._ended: Callable[[], object] | None = None

    def start(self) -> None:
        """
        Start the first thread, so that `wake` finds one whenever it is called.

        Raises:
            ConnectionFailedError: No thread can be started now.
        """
        with self._changed:
            self._start_thread(URGENT)
            self._stays = True

    def close(self, ended: Callable[[], object] | None = None) -> None:
        """Begin no step any more; when none is executed, a thread of the executor calls *ended*."""
        with self._changed:
            self._ended = ended
            self._closed.set()
            self._changed.notify_all()

    def wake(self, task: Task, *, urgent: bool = False) -> None:
        """
        Have a step of *task* executed now; if it is being executed, once more.

        *urgent*: before all other tasks' steps.

        Raises:
            ConnectionFailedError: There is no thread yet, and none can be started now.
        """
        when = URGENT if urgent else time.monotonic()
        with self._changed:
            if self._closed.is_set():
                return
            if self._waits:
                self._changed.notify()
            elif task not in self._busy:
                self._start_thread(when)
            self._plan(task, when)

    def _start_thread(self, when: float) -> None:
        """Start a thread for a step that is due at *when*, if there may be one more."""
        extra = MAX_URGENT_THREADS if when == URGENT else self._busy_with_urgent
        if self._threads >= self._max_threads + extra:
            return
        run = partial(run_steps, self._execute_next, self._closed.wait)
        try:
            start_thread(run, self._name)
        except ConnectionFailedError:
            if not self._threads:
                raise
            return  # the step that is due waits until a thread has executed another one
        self._threads += 1

    def _plan(self, task: Task, when: float) -> None:
        """
        Have a step of *task* executed at *when*, unless it is planned for an earlier time.

        A signal handler may interrupt this to wake the same task. Then the task has two timers, of
        which `_take` drops the later one.
        """
        planned, old = self._timer_of.get(task, (inf, 0))
        if planned <= when:
            return
        number = next(self._numbers)
        if task not in self._busy:
            self._planned[number] = task
            heappush(self._timers, (when, number))
        self._timer_of[task] = (when, number)
        self._planned.pop(old, None)

    def _execute_next(self) -> bool:
        """Execute the next step; return false if this thread is not needed any more."""
        with self._changed:
            task = self._take()
            if task is None:
                self._threads -= 1
                ended = self._ended if not self._threads else None
        if task is None:
            if ended:
                ended()
            return False
        pause: float | None = ERROR_PAUSE
        try:
            self._help()
            pause = task.step()
        finally:
            with self._changed:
                del self._busy[task]
                if task in self._timer_of:  # it was woken meanwhile
                    self._plan(task, self._timer_of.pop(task)[0])
                elif pause is not None:
                    self._plan(task, time.monotonic() + pause)
        return True

    def _take(self) -> Task | None:
        """Return the next task when it is due; ``None`` if there is none for this thread."""
        while not self._closed.is_set():
            when, number = self._timers[0] if self._timers else (inf, 0)
            left = when - time.monotonic()
            if self._timers and number not in self._planned:
                heappop(self._timers)
            elif left <= 0:
                if when != URGENT and len(self._busy) - self._busy_with_urgent >= self._max_threads:
                    return None  # a thread that executes such a step comes back for this one
                heappop(self._timers)
                task = self._planned.pop(number)
                if task in self._timer_of and task not in self._busy:
                    self._planned.pop(self._timer_of.pop(task)[1], None)
                    self._busy[task] = when
                    return task
            elif self._waits or not (self._timers or self._stays):
                return None
            else:
                self._wait(left)
        return None

    @property
    def _busy_with_urgent(self) -> int:
        return list(self._busy.values()).count(URGENT)

    def _help(self) -> None:
        """Start another thread if another step is due."""
        with self._changed:
            when = self._timers[0][0] if self._timers else inf
            if not self._waits and when <= time.monotonic():
                self._start_thread(when)

    def _wait(self, seconds: float) -> None:
        self._waits = True
        try:
            self._changed.wait(None if seconds == inf else seconds)
        finally:
            self._waits = False


class BoundedQueue(Generic[Item]):
    """
    Items in order. *size* bounds the memory they take: `put` waits while they have that size.

    An item has the size 1, or the one it was added with. One thread at a time puts or adds, one
    gets. The queue itself is C, and wakes the thread that gets in half the time of a condition;
    only a thread that puts too much waits for `_taken`.
    """

    def __init__(self, size: int) -> None:
        self._max_size = size
        self._items: SimpleQueue[tuple[Item | None, int]] = SimpleQueue()
        # Each is written by one thread at a time, so the queue needs no lock.
        self._added_size = self._taken_size = 0
        self._closed = self._waiting = False
        self._taken = threading.Condition()

    @property
    def closed(self) -> bool:
        """Return whether it is closed."""
        return self._closed

    @property
    def size(self) -> int:
        """Return the size of all items."""
        return self._added_size - self._taken_size

    @property
    def has_room(self) -> bool:
        """Return whether `put` would not wait now."""
        return self._closed or self.size < self._max_size

    def put(self, item: Item) -> None:
        """
        Add *item*, when there is room for it.

        Raises:
            ClosedError: By `close`.
        """
        if not self.has_room:
            self._wait_for_room()
        if self._closed:
            raise ClosedError
        self.add(item, 1)

    def add(self, item: Item, size: int) -> None:
        """Add *item*, whether or not there is room for it; after `close` it is dropped."""
        self._added_size += size
        self._items.put((item, size))

    def get(self, timeout: float | None = None) -> Item | None:
        """
        Return the next item; ``None`` if there was none for *timeout* seconds.

        Raises:
            ClosedError: By `close`, at once; the items that are left are dropped.
        """
        try:
            item, size = self._items.get(timeout=timeout)
        except Empty:
            item, size = None, 0
        if self._closed:
            self._items.put((None, 0))  # wakes the next thread that gets
            raise ClosedError
        self._taken_size += size
        if self._waiting:
            self._notify()
        return item

    def close(self) -> None:
        """Close it, and wake all threads that wait."""
        self._closed = True
        self._items.put((None, 0))
        self._notify()

    def _wait_for_room(self) -> None:
        with self._taken:
            # Set before the size is read again: a thread that gets an item after that notifies,
            # and one that got it earlier has made the room already.
            self._waiting = True
            self._taken.wait_for(lambda: self.has_room)
            self._waiting = False

    def _notify(self) -> None:
        with self._taken:
            self._taken.notify_all()
