"""Single keys that are followed: it is said when to look, and nothing is missed for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from harness import READER, WRITER, Etcd, Proxy, wait_until
from harness.relay import Relay

from etcdnaming.etcd import Client, requests
from etcdnaming.etcd.key_watch import KeyWatch

E1, E2 = b"svc/e1", b"svc/e2"


class Told(list[tuple[bytes, int]]):
    """The keys that changed, and when."""

    def __call__(self, key: bytes, revision: int) -> None:
        """Take it down."""
        self.append((key, revision))


@contextmanager
def watching(client: Client, *keys: bytes) -> Iterator[tuple[KeyWatch, Told]]:
    """Yield a watch of *keys* that has begun, and what it tells from then on."""
    told = Told()
    with closing(KeyWatch(client, told)) as watch:
        for key in keys:
            watch.follow(key)
        wait_until(lambda: len(told) == len(keys))
        assert {*told} == {(key, 0) for key in keys}
        told.clear()
        yield watch, told


def test_every_change_is_told_and_of_no_other_key(etcd: Etcd, client: Client) -> None:
    """The callback reads the key itself."""
    with watching(client, E1, E2) as (_, told):
        etcd.put(E1 + b"0", "other")
        etcd.put(E1, "1")
        etcd.delete(E1)
        etcd.put(E2, "2")
        wait_until(lambda: len(told) == 3)
        revision = etcd.revision()
        assert told == [(E1, revision - 2), (E1, revision - 1), (E2, revision)]


@pytest.mark.parametrize("through_a_proxy", [False, True])
def test_a_key_that_is_followed_no_longer_costs_nothing(
    etcd: Etcd, grpc_proxy: Callable[..., Proxy], through_a_proxy: bool
) -> None:
    """Also if it was never asked for in the meantime; and it can come back."""
    endpoint = grpc_proxy(etcd).endpoint if through_a_proxy else etcd.endpoint
    with Client([endpoint]) as client, watching(client, E1, E2) as (watch, told):
        watch.unfollow(E1)
        watch.follow(b"svc/e3")
        watch.unfollow(b"svc/e3")
        etcd.put(E1, "1")
        etcd.put(b"svc/e3", "3")
        etcd.put(E2, "2")
        wait_until(lambda: (E2, etcd.revision()) in told)
        assert {key for key, revision in told if revision} == {E2}
        watch.follow(E1)
        wait_until(lambda: (E1, 0) in told)
        etcd.put(E1, "1")
        wait_until(lambda: (E1, etcd.revision()) in told)


def test_after_every_break_each_key_may_have_changed(own_etcd: Callable[..., Etcd]) -> None:
    """Nothing is resumed, so nothing is missed."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, watching(client, E1, E2) as (_, told):
        etcd.stop()
        etcd.start()
        wait_until(lambda: len(told) == 2)
        assert {*told} == {(E1, 0), (E2, 0)}
        etcd.put(E1, "1")
        wait_until(lambda: len(told) == 3)


def test_a_refused_key_is_told_of_and_followed_no_longer(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """The others are, on a new stream."""
    etcd = auth_etcd()
    name, _, password = READER.partition(":")
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        watching(client, E1) as (watch, told),
    ):
        watch.follow(b"other")
        wait_until(lambda: (b"other", 0) in told and (E1, 0) in told)
        etcd.put(E1, "1")
        wait_until(lambda: (E1, etcd.revision()) in told)
        assert told.count((b"other", 0)) == 1


def test_an_expired_token_is_no_reason_to_stay_deaf(auth_etcd: Callable[..., Etcd]) -> None:
    """The callback reads, which renews the token, and the key is followed again."""
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        watching(client, E1) as (watch, told),
    ):

        def hears() -> bool:
            client.read([requests.get(E1)])
            watch.follow(E1)
            etcd.put(E1, "1")
            return (E1, etcd.revision()) in told

        etcd.stop()
        etcd.start()  # all tokens are void
        wait_until(lambda: (E1, 0) in told)
        wait_until(hears)


def test_a_thousand_keys_share_a_stream_and_a_thread(etcd: Etcd, client: Client) -> None:
    """Which ends with it."""
    keys = [b"svc/%d" % number for number in range(1000)]
    with watching(client, *keys) as (_, told):
        assert names().count("etcdnaming-keys") == 1
        etcd.put_all(dict.fromkeys(keys, b"{}"))
        wait_until(lambda: len(told) == 1000)
    wait_until(lambda: "etcdnaming-keys" not in names())


def test_each_key_requests_a_watch_id_of_its_own(etcd: Etcd) -> None:
    """etcd 3.5.1 silences a watch when it refuses another one with the same id, or with none."""
    with Relay(etcd.endpoint) as relay, Client([relay.endpoint]) as client:
        with watching(client, E1, E2) as (watch, told):
            watch.follow(b"svc/e3")
            wait_until(lambda: (b"svc/e3", 0) in told)
        assert len({*relay.watch_ids}) == 3
        assert min(relay.watch_ids) > 0


def test_keys_are_followed_again_after_none_was(etcd: Etcd, client: Client) -> None:
    """The stream ends with its last key; the next key has a new one."""
    with watching(client, E1) as (watch, told):
        for _ in range(3):
            watch.unfollow(E1)
            watch.follow(E2)
            wait_until(lambda: (E2, 0) in told)
            etcd.put(E2, "2")
            wait_until(lambda: (E2, etcd.revision()) in told)
            watch.unfollow(E2)
            told.clear()
            watch.follow(E1)
            wait_until(lambda: (E1, 0) in told)


def test_closing_the_client_ends_the_stream_of_its_keys(etcd: Etcd) -> None:
    """Although the user of the keys has not closed them yet."""
    with (
        Relay(etcd.endpoint) as relay,
        Client([relay.endpoint]) as client,
        closing(KeyWatch(client, Told())) as watch,
    ):
        watch.follow(E1)
        wait_until(lambda: relay.watch_ids)
        assert not relay.ended
        client.close()
        wait_until(lambda: relay.ended)


def names() -> list[str]:
    """Return the names of the threads there are."""
    return [thread.name for thread in threading.enumerate()]
