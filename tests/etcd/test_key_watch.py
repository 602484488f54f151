"""KeyWatch: reports when watched keys change, and when they may have changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from harness import READER, WRITER, Etcd, Proxy, wait_until
from harness.relay import Relay

from etcdnaming.etcd import Client
from etcdnaming.etcd.key_watch import KeyWatch
from etcdnaming.etcd.transactions import look_up

E1, E2 = b"svc/e1", b"svc/e2"


class Reported(list[tuple[bytes, int]]):
    """The reported keys and revisions."""

    def __call__(self, key: bytes, revision: int) -> None:
        """Record a report."""
        self.append((key, revision))


@contextmanager
def watching(client: Client, *keys: bytes) -> Iterator[tuple[KeyWatch, Reported]]:
    """Yield a started watch of *keys*, and its reports from then on."""
    reported = Reported()
    with closing(KeyWatch(client, reported)) as watch:
        for key in keys:
            watch.follow(key)
        wait_until(lambda: len(reported) == len(keys))
        assert {*reported} == {(key, 0) for key in keys}
        reported.clear()
        yield watch, reported


def test_key_watch_reports_every_change_of_its_keys_only(etcd: Etcd, client: Client) -> None:
    """Only key and revision are reported; the callback reads the key itself."""
    with watching(client, E1, E2) as (_, reported):
        etcd.put(E1 + b"0", "other")
        etcd.put(E1, "1")
        etcd.delete(E1)
        etcd.put(E2, "2")
        wait_until(lambda: len(reported) == 3)
        revision = etcd.revision()
        assert reported == [(E1, revision - 2), (E1, revision - 1), (E2, revision)]


@pytest.mark.parametrize("through_a_proxy", [False, True])
def test_key_watch_reports_nothing_of_a_key_after_unfollow(
    etcd: Etcd, grpc_proxy: Callable[..., Proxy], through_a_proxy: bool
) -> None:
    """A key may be unfollowed before its watch was created, and followed again later."""
    endpoint = grpc_proxy(etcd).endpoint if through_a_proxy else etcd.endpoint
    with Client([endpoint]) as client, watching(client, E1, E2) as (watch, reported):
        watch.unfollow(E1)
        watch.follow(b"svc/e3")
        watch.unfollow(b"svc/e3")
        etcd.put(E1, "1")
        etcd.put(b"svc/e3", "3")
        etcd.put(E2, "2")
        wait_until(lambda: (E2, etcd.revision()) in reported)
        assert {key for key, revision in reported if revision} == {E2}
        watch.follow(E1)
        wait_until(lambda: (E1, 0) in reported)
        etcd.put(E1, "1")
        wait_until(lambda: (E1, etcd.revision()) in reported)


def test_key_watch_reports_every_key_after_a_disconnect(own_etcd: Callable[..., Etcd]) -> None:
    """A watch is not resumed, so each key may have changed in the meantime."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, watching(client, E1, E2) as (_, reported):
        etcd.stop()
        etcd.start()
        wait_until(lambda: len(reported) == 2)
        assert {*reported} == {(E1, 0), (E2, 0)}
        etcd.put(E1, "1")
        wait_until(lambda: len(reported) == 3)


def test_key_watch_reports_a_refused_key_once(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """The other keys are followed on a new stream."""
    etcd = auth_etcd()
    name, _, password = READER.partition(":")
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        watching(client, E1) as (watch, reported),
    ):
        watch.follow(b"other")
        wait_until(lambda: (b"other", 0) in reported and (E1, 0) in reported)
        etcd.put(E1, "1")
        wait_until(lambda: (E1, etcd.revision()) in reported)
        assert reported.count((b"other", 0)) == 1


def test_key_watch_continues_after_its_token_expired(auth_etcd: Callable[..., Etcd]) -> None:
    """The callback's read renews the token, and the key can be followed again."""
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        watching(client, E1) as (watch, reported),
    ):

        def hears() -> bool:
            look_up(client, [E1])
            watch.follow(E1)
            etcd.put(E1, "1")
            return (E1, etcd.revision()) in reported

        etcd.stop()
        etcd.start()  # a restart makes all tokens invalid
        wait_until(lambda: (E1, 0) in reported)
        wait_until(hears)


def test_key_watch_uses_one_thread_for_a_thousand_keys(etcd: Etcd, client: Client) -> None:
    """The thread ends when the watch is closed."""
    keys = [b"svc/%d" % number for number in range(1000)]
    with watching(client, *keys) as (_, reported):
        assert names().count("etcdnaming-keys") == 1
        etcd.put_all(dict.fromkeys(keys, b"{}"))
        wait_until(lambda: len(reported) == 1000)
    wait_until(lambda: "etcdnaming-keys" not in names())


def test_key_watch_requests_a_watch_id_of_its_own_for_each_key(etcd: Etcd) -> None:
    """
    A second `follow` needs none.

    etcd 3.5.1 stops a watch when it refuses another one with the same ID, or with none.
    """
    with Relay(etcd.endpoint) as relay, Client([relay.endpoint]) as client:
        with watching(client, E1, E2) as (watch, reported):
            watch.follow(E1)
            watch.follow(b"svc/e3")
            wait_until(lambda: (b"svc/e3", 0) in reported)
        assert len({*relay.watch_ids}) == 3
        assert min(relay.watch_ids) > 0


def test_key_watch_follows_keys_again_after_its_last_key_was_removed(
    etcd: Etcd, client: Client
) -> None:
    """The stream ends with the last key, and the next key starts a new one."""
    with watching(client, E1) as (watch, reported):
        for _ in range(3):
            watch.unfollow(E1)
            watch.follow(E2)
            wait_until(lambda: (E2, 0) in reported)
            etcd.put(E2, "2")
            wait_until(lambda: (E2, etcd.revision()) in reported)
            watch.unfollow(E2)
            reported.clear()
            watch.follow(E1)
            wait_until(lambda: (E1, 0) in reported)


def test_key_watch_stream_ends_when_the_client_is_closed(etcd: Etcd) -> None:
    """Closing the client is enough, although the watch itself is not closed yet."""
    with (
        Relay(etcd.endpoint) as relay,
        Client([relay.endpoint]) as client,
        closing(KeyWatch(client, Reported())) as watch,
    ):
        watch.follow(E1)
        wait_until(lambda: relay.watch_ids)
        assert not relay.ended
        client.close()
        wait_until(lambda: relay.ended)


def names() -> list[str]:
    """Return the names of all running threads."""
    return [thread.name for thread in threading.enumerate()]


def test_key_watch_unfollows_a_key_before_it_has_a_stream() -> None:
    """Also if the key is not followed."""
    with Client(["127.0.0.1:1"]) as client, closing(KeyWatch(client, Reported())) as watch:
        watch.follow(E1)
        watch.unfollow(E1)
        watch.unfollow(E1)
