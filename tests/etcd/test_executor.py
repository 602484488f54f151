"""Executor: tasks are executed when they are due or woken, in few threads."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import cast

import pytest
from harness import AT_ONCE, TIMEOUT, wait_until

from etcdnaming.errors import ConnectionFailedError
from etcdnaming.etcd import threads as threads_module
from etcdnaming.etcd.threads import Executor

NAME = "test-executor"


class Noted:
    """A task that calls *work* in each step, and notes the times."""

    def __init__(self, work: Callable[[], float | None] = lambda: None) -> None:
        self.times: list[float] = []
        self._work = work

    def step(self) -> float | None:
        """Note and work."""
        self.times.append(time.monotonic())
        return self._work()


def threads() -> int:
    """Return the number of threads of all executors of these tests."""
    return [each.name for each in threading.enumerate()].count(NAME)


def test_executor_needs_one_thread_which_ends_when_nothing_is_planned() -> None:
    """A hundred tasks are executed, each once."""
    tasks, own = [Noted() for _ in range(100)], Executor(NAME)
    for task in tasks:
        own.wake(task)
    wait_until(lambda: all(task.times for task in tasks) and not threads())
    assert {len(task.times) for task in tasks} == {1}
    own.wake(tasks[0])
    wait_until(lambda: len(tasks[0].times) == 2)


def test_executor_executes_a_task_again_when_it_is_due() -> None:
    """A pause that is shorter than the one before it counts from now."""
    pauses = [0.3, 0.1, None]
    task, later = Noted(lambda: pauses.pop(0)), Noted()
    own = Executor(NAME)
    own.wake(task)
    own.wake(later)
    wait_until(lambda: not pauses and not threads())
    first, second, third = task.times
    assert second - first >= 0.3
    assert third - second >= 0.1


def test_executor_wakes_a_task_before_it_is_due() -> None:
    """Its step that was planned is not executed."""
    pauses = [TIMEOUT * 2, None]
    task, own = Noted(lambda: pauses.pop(0)), Executor(NAME)
    own.wake(task)
    wait_until(lambda: task.times)
    own.wake(task)
    wait_until(lambda: len(task.times) == 2 and not threads(), AT_ONCE)


def test_executor_keeps_no_task_that_has_ended() -> None:
    """Not even while another one is planned for an earlier time than its last step was."""
    pauses: list[float | None] = [2 * TIMEOUT, None]
    others: list[float | None] = [TIMEOUT, None]
    own, other, task = Executor(NAME), Noted(lambda: others.pop(0)), Noted(lambda: pauses.pop(0))
    own.wake(other)
    own.wake(task)
    wait_until(lambda: len(pauses) == 1)
    own.wake(task)
    ended = weakref.ref(task)
    del task
    wait_until(lambda: not pauses and ended() is None, AT_ONCE)
    own.wake(other)
    wait_until(lambda: not threads())


def test_executor_executes_other_tasks_while_one_waits() -> None:
    """One that waits is executed by no other thread, but once more if it was woken meanwhile."""
    begun, released = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert released.wait(TIMEOUT)

    waiting, own = Noted(wait), Executor(NAME)
    own.wake(waiting)
    assert begun.wait(TIMEOUT)
    own.wake(waiting)
    others = [Noted() for _ in range(10)]
    for other in others:
        own.wake(other)
    wait_until(lambda: all(other.times for other in others), AT_ONCE)
    assert len(waiting.times) == 1
    released.set()
    wait_until(lambda: len(waiting.times) == 2 and not threads())


def test_executor_executes_steps_at_once_that_are_due_at_the_same_time() -> None:
    """Each in a thread, although only one thread waits for them."""
    together = threading.Barrier(3)

    def meet() -> None:
        together.wait(TIMEOUT)

    own, tasks = Executor(NAME), [Noted(meet) for _ in range(3)]
    own.start()
    wait_until(lambda: own._waits)
    with own._changed:  # until all of them are due
        for task in tasks:
            own.wake(task)
    wait_until(lambda: all(task.times for task in tasks))
    own.close()
    wait_until(lambda: not threads())
    assert not together.broken


def test_executor_starts_a_bounded_number_of_threads() -> None:
    """The other tasks have to wait."""
    released = threading.Event()

    def wait() -> None:
        assert released.wait(TIMEOUT)

    tasks = [Noted(wait) for _ in range(20)]
    own = Executor(NAME)
    for task in tasks:
        own.wake(task)
    wait_until(lambda: sum(len(task.times) for task in tasks) == threads_module.MAX_THREADS)
    assert threads() == threads_module.MAX_THREADS
    released.set()
    wait_until(lambda: all(task.times for task in tasks) and not threads())


def test_executor_repeats_a_step_after_an_unexpected_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged."""
    monkeypatch.setattr(threads_module, "ERROR_PAUSE", 0.1)
    errors = [MemoryError()]

    def fail_once() -> None:
        if errors:
            raise errors.pop()

    task, own = Noted(fail_once), Executor(NAME)
    own.wake(task)
    wait_until(lambda: len(task.times) == 2)
    assert "goes on after an error" in caplog.text


def test_executor_reports_that_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task is not executed later either, unless it is woken again."""
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _fail)
        task, own = Noted(), Executor(NAME)
        with pytest.raises(ConnectionFailedError):
            own.wake(task)
    other = Noted()
    own.wake(other)
    wait_until(lambda: other.times and not threads())
    assert task.times == []


def test_executor_that_was_started_keeps_a_thread_until_it_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So a task is executed although no other thread can be started."""
    own, task, closed = Executor(NAME), Noted(), threading.Event()
    own.start()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _fail)
        own.wake(task)
        wait_until(lambda: len(task.times) == 1)
        own.wake(task)
        wait_until(lambda: len(task.times) == 2)
    assert threads() == 1
    own.close(closed.set)
    assert closed.wait(AT_ONCE)
    own.wake(task)
    wait_until(lambda: not threads())
    assert len(task.times) == 2


def test_executor_calls_back_at_its_end_when_the_last_step_is_executed() -> None:
    """The others are not executed any more."""
    begun, released, closed = threading.Event(), threading.Event(), threading.Event()

    def wait() -> float:
        begun.set()
        assert released.wait(TIMEOUT)
        return 0.0

    own, task, planned = Executor(NAME), Noted(wait), Noted(lambda: TIMEOUT)
    own.start()
    own.wake(task)
    assert begun.wait(TIMEOUT)
    own.wake(planned)
    wait_until(lambda: planned.times)
    own.close(closed.set)
    own.wake(planned)
    assert not closed.wait(0.1)
    released.set()
    assert closed.wait(AT_ONCE)
    wait_until(lambda: not threads())
    assert (len(task.times), len(planned.times)) == (1, 1)


def test_executor_executes_urgent_steps_before_all_others() -> None:
    """In order, if there is one thread; a later request that is not urgent changes nothing."""
    begun, released = threading.Event(), threading.Event()
    order: list[int] = []

    def wait() -> None:
        begun.set()
        assert released.wait(TIMEOUT)

    own, first = Executor(NAME, max_threads=1), Noted(wait)
    tasks = [Noted(partial(order.append, n)) for n in range(4)]
    own.wake(first)
    assert begun.wait(TIMEOUT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", _fail)
        for task in tasks:
            own.wake(task)
        for task in tasks[2:]:
            own.wake(task, urgent=True)
            own.wake(task)
        released.set()
        wait_until(lambda: not threads())
    assert order == [2, 3, 0, 1]


def test_executor_has_more_threads_for_urgent_steps_only() -> None:
    """They are executed although no thread is free; the others still wait for one."""
    released = threading.Event()

    def wait() -> None:
        assert released.wait(TIMEOUT)

    own = Executor(NAME, max_threads=2)
    stuck, waiting = [Noted(wait) for _ in range(2)], Noted()
    for task in [*stuck, waiting]:
        own.wake(task)
    wait_until(lambda: all(task.times for task in stuck))
    urgent = [Noted(wait) for _ in range(20)]
    for task in urgent:
        own.wake(task, urgent=True)
    wait_until(lambda: sum(len(task.times) for task in urgent) == threads_module.MAX_URGENT_THREADS)
    assert threads() == 2 + threads_module.MAX_URGENT_THREADS
    assert waiting.times == []
    released.set()
    wait_until(lambda: not threads())
    assert all(task.times for task in [*urgent, waiting])


@pytest.mark.parametrize("urgent", [False, True])
def test_executor_executes_a_task_once_when_a_signal_handler_interrupts_its_waking(
    caplog: pytest.LogCaptureFixture, urgent: bool
) -> None:
    """The handler wakes the same task while a timer is made for it."""
    own, task, numbers = Executor(NAME), Noted(), count(1)
    handlers = [partial(own.wake, task, urgent=urgent)]

    def number() -> int:
        if handlers:
            handlers.pop()()
        return next(numbers)

    own._numbers = cast("count[int]", iter(number, None))
    own.wake(task)
    wait_until(lambda: task.times and not threads())
    assert len(task.times) == 1
    assert caplog.text == ""


def _fail(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
