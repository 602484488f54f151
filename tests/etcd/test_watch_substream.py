"""WatchSubstream: in which order and in which thread the answers of one watch are delivered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import wait_until

from etcdnaming.etcd import rpc
from etcdnaming.etcd.watch_substream import WatchSubstream


class Carrier:
    """A stream that sends nothing."""

    member = "127.0.0.1:1"

    def create_time_left(self) -> float:
        """Return a time that is not over."""
        return 5

    def leave(self) -> None:
        """Do nothing."""

    def drop(self, substream: WatchSubstream) -> None:
        """Do nothing."""


@pytest.fixture
def owner() -> Iterator[ThreadPoolExecutor]:
    """The thread that takes answers."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def answer(number: int) -> rpc.WatchResponse:
    """Return an answer that *number* identifies."""
    return rpc.WatchResponse(watch_id=number)


def is_heard(stream: WatchSubstream) -> bool:
    """Return whether a consumer is waiting for answers."""
    return vars(stream)["_handler"] is not None


def test_substream_calls_a_waiting_consumer_in_the_thread_that_puts(
    owner: ThreadPoolExecutor,
) -> None:
    """An answer that the consumer refuses is taken later, followed by the others in order."""
    stream = WatchSubstream(Carrier(), rpc.WatchCreateRequest())
    heard: list[tuple[int, int]] = []

    def hear(response: rpc.WatchResponse) -> bool:
        heard.append((response.watch_id, threading.get_ident()))
        return response.watch_id != 3

    stream.put(answer(0))  # before a consumer waits
    assert stream.take(0, hear) == answer(0)
    taken = owner.submit(stream.take, 10, hear)
    wait_until(lambda: is_heard(stream))
    for number in range(1, 6):
        stream.put(answer(number))
    assert taken.result() == answer(3)
    assert [stream.take(0, hear) for _ in range(3)] == [answer(4), answer(5), None]
    assert heard == [(number, threading.get_ident()) for number in (1, 2, 3)]


def test_substream_consumer_error_is_raised_in_take(owner: ThreadPoolExecutor) -> None:
    """The thread that puts answers is not affected."""
    stream = WatchSubstream(Carrier(), rpc.WatchCreateRequest())

    def hear(response: rpc.WatchResponse) -> bool:
        raise ZeroDivisionError

    taken = owner.submit(stream.take, 10, hear)
    wait_until(lambda: is_heard(stream))
    assert stream.put(answer(1))
    with pytest.raises(ZeroDivisionError):
        taken.result()
