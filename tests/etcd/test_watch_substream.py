"""The answers of one watch: who hears them, and in which order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import wait_until

from etcdnaming.etcd import rpc
from etcdnaming.etcd.watch_substream import WatchSubstream


class Carrier:
    """Carries nothing."""

    member = "127.0.0.1:1"

    def create_time_left(self) -> float:
        """There is some."""
        return 5

    def leave(self) -> None:
        """Do nothing."""

    def drop(self, substream: WatchSubstream) -> None:
        """Do nothing."""


@pytest.fixture
def owner() -> Iterator[ThreadPoolExecutor]:
    """The thread that takes."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def answer(number: int) -> rpc.WatchResponse:
    """Return one that can be told from others."""
    return rpc.WatchResponse(watch_id=number)


def is_heard(stream: WatchSubstream) -> bool:
    """Return whether a consumer waits for answers."""
    return vars(stream)["_handler"] is not None


def test_whoever_waits_hears_in_the_thread_of_who_puts(owner: ThreadPoolExecutor) -> None:
    """And answers that it refuses are taken later, with all that follow, in order."""
    stream = WatchSubstream(Carrier(), rpc.WatchCreateRequest())
    heard: list[tuple[int, int]] = []

    def hear(response: rpc.WatchResponse) -> bool:
        heard.append((response.watch_id, threading.get_ident()))
        return response.watch_id != 3

    stream.put(answer(0))  # before anybody waits
    assert stream.take(0, hear) == answer(0)
    taken = owner.submit(stream.take, 10, hear)
    wait_until(lambda: is_heard(stream))
    for number in range(1, 6):
        stream.put(answer(number))
    assert taken.result() == answer(3)
    assert [stream.take(0, hear) for _ in range(3)] == [answer(4), answer(5), None]
    assert heard == [(number, threading.get_ident()) for number in (1, 2, 3)]


def test_what_goes_wrong_while_hearing_is_the_owners(owner: ThreadPoolExecutor) -> None:
    """The carrier goes on with the others."""
    stream = WatchSubstream(Carrier(), rpc.WatchCreateRequest())

    def hear(response: rpc.WatchResponse) -> bool:
        raise ZeroDivisionError

    taken = owner.submit(stream.take, 10, hear)
    wait_until(lambda: is_heard(stream))
    assert stream.put(answer(1))
    with pytest.raises(ZeroDivisionError):
        taken.result()
