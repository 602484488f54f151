"""BoundedQueue: order, size limit and closing, between two threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest
from harness import AT_ONCE

from etcdnaming.errors import ClosedError
from etcdnaming.etcd.threads import BoundedQueue


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., Future[object]]]:
    """Return a function that runs ``function(*args)`` in another thread."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit


def waits(future: Future[object]) -> bool:
    """Return whether *future* is still pending after a moment."""
    return bool(wait([future], 0.05).not_done)


def test_queue_returns_items_in_the_order_of_put() -> None:
    """The first item in is the first item out."""
    box = BoundedQueue[int](3)
    for item in (1, 2, 3):
        box.put(item)
    assert [box.get(), box.get(), box.get()] == [1, 2, 3]


def test_queue_get_waits_until_an_item_is_put(elsewhere: Callable[..., Future[object]]) -> None:
    """The waiting thread wakes up immediately."""
    box = BoundedQueue[int](1)
    got = elsewhere(box.get)
    assert waits(got)
    box.put(1)
    assert got.result(AT_ONCE) == 1


def test_queue_put_waits_while_the_queue_is_full(elsewhere: Callable[..., Future[object]]) -> None:
    """The size limit bounds the memory that a queue uses."""
    box = BoundedQueue[int](2)
    box.put(1)
    box.put(2)
    put = elsewhere(box.put, 3)
    assert waits(put)
    assert box.get() == 1
    put.result(AT_ONCE)
    assert [box.get(), box.get()] == [2, 3]


@pytest.mark.parametrize("timeout", [0, 0.1])
def test_queue_get_returns_none_when_no_item_comes_within_the_timeout(timeout: float) -> None:
    """A timeout is not an error."""
    start = time.monotonic()
    assert BoundedQueue[int](1).get(timeout) is None
    assert timeout <= time.monotonic() - start < timeout + AT_ONCE


def test_queue_get_returns_an_available_item_without_a_timeout() -> None:
    """A timeout of 0 returns an item only if one is available."""
    box = BoundedQueue[int](1)
    box.put(1)
    assert box.get(0) == 1


def test_queue_close_wakes_all_waiting_gets(elsewhere: Callable[..., Future[object]]) -> None:
    """Every thread that waits for an item gets an error."""
    box = BoundedQueue[int](1)
    got = [elsewhere(box.get), elsewhere(box.get)]
    assert all(map(waits, got))
    box.close()
    for each in got:
        assert isinstance(each.exception(AT_ONCE), ClosedError)


def test_queue_close_wakes_a_waiting_put(elsewhere: Callable[..., Future[object]]) -> None:
    """The item can no longer be delivered, so the put is an error."""
    box = BoundedQueue[int](1)
    box.put(1)
    put = elsewhere(box.put, 2)
    assert waits(put)
    box.close()
    assert isinstance(put.exception(AT_ONCE), ClosedError)


def test_queue_get_and_put_fail_after_close() -> None:
    """Remaining items are dropped, and closing twice is allowed."""
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


def test_queue_loses_no_item_between_busy_threads() -> None:
    """Thousands of items pass through a queue of two."""
    box, got = BoundedQueue[int](2), list[int | None]()
    taker = threading.Thread(target=lambda: got.extend(box.get() for _ in range(5000)))
    taker.start()
    for item in range(5000):
        box.put(item)
    taker.join()
    assert got == list(range(5000))
