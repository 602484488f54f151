"""Execute the steps of many tasks in few threads: each when it is due, or when it was woken."""

from __future__ import annotations

import threading
import time
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from ..errors import ConnectionFailedError
from .threads import run_steps, start_thread

__all__ = ["Executor", "Task"]

MAX_THREADS = 8
"""Threads of an executor while some of them wait for an etcd that does not answer."""

ERROR_PAUSE = 1.0
"""Seconds until a step is repeated that ended with an unforeseen exception."""


class Task(Protocol):
    """Something that has work to do now and then."""

    def step(self) -> float | None:
        """Do it; return the seconds until there is more, ``None``: not before it is woken."""


class Executor:
    """
    Executes no task in two threads at a time.

    One thread is enough for any number of tasks. It starts with the first one, and ends when no
    step is planned any more. If a step is due while all threads are busy, another one starts; it
    ends when there is less to do.

    `_changed` guards everything, and no task is called with it: a task may hold its own lock when
    it wakes itself.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        # A timer names no task, so that an old one keeps no task that has ended.
        self._timers: list[tuple[float, int]] = []
        self._planned: dict[int, Task] = {}
        self._timer_of: dict[Task, int] = {}
        self._numbers = count(1)
        self._busy: set[Task] = set()
        self._threads = 0
        self._waits = False

    def wake(self, task: Task) -> None:
        """
        Have a step of *task* executed now; if it is being executed, once more.

        Raises:
            ConnectionFailedError: There is no thread yet, and none can be started now.
        """
        with self._changed:
            if self._waits:
                self._changed.notify()
            else:
                self._start_thread()
            self._plan(task, 0.0)

    def _start_thread(self) -> None:
        if self._threads >= MAX_THREADS:
            return
        try:
            start_thread(partial(run_steps, self._execute_next, time.sleep), self._name)
        except ConnectionFailedError:
            if not self._threads:
                raise
            return  # the step that is due waits until a thread has executed another one
        self._threads += 1

    def _plan(self, task: Task, pause: float) -> None:
        number = next(self._numbers)
        self._planned.pop(self._timer_of.get(task, 0), None)
        self._timer_of[task] = number
        if task not in self._busy:
            self._planned[number] = task
            heappush(self._timers, (time.monotonic() + pause, number))

    def _execute_next(self) -> bool:
        """Execute the next step; return false if this thread is not needed any more."""
        with self._changed:
            task = self._take()
            if task is None:
                self._threads -= 1
                return False
        pause: float | None = ERROR_PAUSE
        try:
            pause = task.step()
        finally:
            with self._changed:
                self._busy.discard(task)
                if task in self._timer_of:  # it was woken meanwhile
                    self._plan(task, 0.0)
                elif pause is not None:
                    self._plan(task, pause)
        return True

    def _take(self) -> Task | None:
        """Return the next task when it is due; ``None`` if there is none for this thread."""
        while self._timers:
            when, number = self._timers[0]
            left = when - time.monotonic()
            if number not in self._planned:
                heappop(self._timers)
            elif left <= 0:
                heappop(self._timers)
                task = self._planned.pop(number)
                del self._timer_of[task]
                self._busy.add(task)
                if self._timers and not self._waits and self._timers[0][0] <= time.monotonic():
                    self._start_thread()
                return task
            elif self._waits:
                return None
            else:
                self._waits = True
                self._changed.wait(left)
                self._waits = False
        return None
