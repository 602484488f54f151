"""BoundedQueue: order, bounds and an end, between two threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest
from harness import AT_ONCE

from etcdnaming.errors import ClosedError
from etcdnaming.etcd.bounded_queue import BoundedQueue


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., Future[object]]]:
    """``elsewhere(function, *args)``: call it in another thread."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit


def waits(future: Future[object]) -> bool:
    """Say whether it has no result, nor gets one for a moment."""
    return bool(wait([future], 0.05).not_done)


def test_items_come_out_in_the_order_they_were_put() -> None:
    """First in, first out."""
    box = BoundedQueue[int](3)
    for item in (1, 2, 3):
        box.put(item)
    assert [box.get(), box.get(), box.get()] == [1, 2, 3]


def test_who_gets_waits_for_who_puts(elsewhere: Callable[..., Future[object]]) -> None:
    """And is woken at once."""
    box = BoundedQueue[int](1)
    got = elsewhere(box.get)
    assert waits(got)
    box.put(1)
    assert got.result(AT_ONCE) == 1


def test_who_puts_waits_while_it_is_full(elsewhere: Callable[..., Future[object]]) -> None:
    """So that memory is bounded."""
    box = BoundedQueue[int](2)
    box.put(1)
    box.put(2)
    put = elsewhere(box.put, 3)
    assert waits(put)
    assert box.get() == 1
    put.result(AT_ONCE)
    assert [box.get(), box.get()] == [2, 3]


@pytest.mark.parametrize("timeout", [0, 0.1])
def test_nothing_comes_in_time(timeout: float) -> None:
    """That is no error."""
    start = time.monotonic()
    assert BoundedQueue[int](1).get(timeout) is None
    assert timeout <= time.monotonic() - start < timeout + AT_ONCE


def test_what_is_there_needs_no_time() -> None:
    """A timeout of 0 looks."""
    box = BoundedQueue[int](1)
    box.put(1)
    assert box.get(0) == 1


def test_closing_wakes_who_gets(elsewhere: Callable[..., Future[object]]) -> None:
    """However many they are."""
    box = BoundedQueue[int](1)
    got = [elsewhere(box.get), elsewhere(box.get)]
    assert all(map(waits, got))
    box.close()
    for each in got:
        assert isinstance(each.exception(AT_ONCE), ClosedError)


def test_closing_wakes_who_puts(elsewhere: Callable[..., Future[object]]) -> None:
    """Its items can't be delivered."""
    box = BoundedQueue[int](1)
    box.put(1)
    put = elsewhere(box.put, 2)
    assert waits(put)
    box.close()
    assert isinstance(put.exception(AT_ONCE), ClosedError)


def test_a_closed_one_gives_and_takes_nothing() -> None:
    """Not even what was left in it; it can be closed again."""
    box = BoundedQueue[int](2)
    box.put(1)
    assert not box.closed
    box.close()
    box.close()
    assert box.closed
    with pytest.raises(ClosedError):
        box.get(0)
    with pytest.raises(ClosedError):
        box.put(2)


def test_nothing_is_lost_between_busy_threads() -> None:
    """Thousands of items through a small one."""
    box, got = BoundedQueue[int](2), list[int | None]()
    taker = threading.Thread(target=lambda: got.extend(box.get() for _ in range(5000)))
    taker.start()
    for item in range(5000):
        box.put(item)
    taker.join()
    assert got == list(range(5000))
