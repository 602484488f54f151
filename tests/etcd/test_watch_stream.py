"""Watch streams: one call for a client's first watch, and a shared one for all others."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from urllib.request import urlopen

import pytest
from harness import READER, TIMEOUT, Etcd, Proxy, wait_until
from harness.relay import Answers, Relay, cut_off_when, only_accepted, passed_on, silent
from harness.slow import SlowClient
from harness.watcher import Watcher, put, stored

from etcdnaming import Endpoint, EndpointManager, Update
from etcdnaming.errors import PermissionDeniedError
from etcdnaming.etcd import Client, range_watch_loop, rpc
from etcdnaming.etcd.calls import Caller
from etcdnaming.etcd.known_keys import KnownKeys, Summary

pytestmark = pytest.mark.server


@contextmanager
def watching(client: Client, *targets: str) -> Iterator[list[Watcher]]:
    """Yield a connected watcher of each of *targets*."""
    with ExitStack() as stack:
        watchers = [stack.enter_context(Watcher(client, target=each)) for each in targets]
        for watcher in watchers:
            watcher.wait_until_connected()
        yield watchers


@contextmanager
def sharing(client: Client, *targets: str) -> Iterator[list[Watcher]]:
    """Yield watchers of *targets* on a shared stream; another watch uses the dedicated call."""
    with watching(client, targets[0]), watching(client, *targets) as watchers:
        yield watchers


def test_hundred_watches_share_one_stream_and_one_thread(etcd: Etcd) -> None:
    """
    Each watch receives its own changes only, and the threads end with the last watch.

    One thread reads the shared stream, and one verifies all watches. The first watch has a stream
    of its own.
    """
    targets = [f"svc{n}" for n in range(100)]
    with Relay(etcd.endpoint) as relay, Client([relay.endpoint]) as client:
        with sharing(client, *targets) as watchers:
            wait_until(lambda: names().count("etcdnaming-stream") == 2)
            wait_until(lambda: names().count("etcdnaming-watch") == 1)
            etcd.put_all({f"{each}/e1".encode(): stored(each).encode() for each in targets})
            for target, watcher in zip(targets, watchers, strict=True):
                watcher.wait_until(lambda watcher: watcher.count == 1)
                assert watcher.reported == [("ADD", f"{target}/e1", target)]
        assert relay.streams == 2
        wait_until(lambda: not {"etcdnaming-stream", "etcdnaming-watch"}.intersection(names()))


def test_dedicated_call_is_used_by_the_next_watch_after_the_first_was_closed(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same watch also uses it again after a disconnect."""
    alone = count_calls(monkeypatch, Caller, "open_single_request")
    with (
        Relay(etcd.endpoint, only_accepted, passed_on) as relay,
        Client([relay.endpoint]) as client,
    ):
        for _ in range(2):
            with watching(client, "svc") as [watcher]:
                etcd.put("svc/e1", stored("1"))
                watcher.wait_until(lambda watcher: watcher.replayed == {"svc/e1": Endpoint("1")})
        assert len(alone) == relay.streams == 3


def test_dedicated_call_is_used_again_by_its_watch_after_a_disconnect(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other watches of the client share a stream in the meantime."""
    alone, cut = count_calls(monkeypatch, Caller, "open_single_request"), threading.Event()
    with (
        Relay(etcd.endpoint, cut_off_when(cut), passed_on) as relay,
        Client([relay.endpoint]) as client,
        watching(client, "svc") as [watcher],
        watching(client, "other"),
    ):
        cut.set()
        etcd.put("svc/e1", stored("1"))
        watcher.wait_until(lambda watcher: watcher.replayed == {"svc/e1": Endpoint("1")})
        assert (relay.streams, len(alone)) == (3, 2)


def test_dedicated_call_is_replaced_by_a_stream_when_it_delivers_nothing(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy may not forward such a call, so the watch continues on a shared stream."""
    monkeypatch.setattr(range_watch_loop, "VERIFY_INTERVAL", 1)
    monkeypatch.setattr(range_watch_loop, "DELIVERY_TIMEOUT", 2)
    alone = count_calls(monkeypatch, Caller, "open_single_request")
    with (
        Relay(etcd.endpoint, silent, passed_on) as relay,
        Client([relay.endpoint]) as client,
        watching(client, "svc") as [watcher],
    ):
        put(etcd, e1="1")
        watcher.wait_for_addresses(e1="1")
        assert (relay.streams, len(alone)) == (2, 1)
        assert not watcher.batches[-1].resync


@pytest.mark.parametrize("revision", [0, 2])
def test_dedicated_call_is_replaced_by_a_stream_when_a_proxy_does_not_support_it(
    own_etcd: Callable[..., Etcd], grpc_proxy: Callable[..., Proxy], revision: int
) -> None:
    """The watch changes to a stream immediately, and no disconnect is reported."""
    etcd = own_etcd()
    put(etcd, e1="1")
    with (
        Client([grpc_proxy(etcd).endpoint]) as client,
        Watcher(client, revision=revision) as watcher,
    ):
        watcher.wait_until_connected()  # or the first batch may include the change
        put(etcd, e2="2")
        watcher.wait_for_addresses(e1="1", e2="2")
        assert watcher.connections == [True]


def test_many_watches_share_a_stream_through_the_proxy(
    etcd: Etcd, grpc_proxy: Callable[..., Proxy]
) -> None:
    """The proxy assigns watch IDs of its own, and combines watches of the same range."""
    targets = [f"svc{n}" for n in range(10)] * 3
    with Client([grpc_proxy(etcd).endpoint]) as client, sharing(client, *targets) as watchers:
        wait_until(lambda: names().count("etcdnaming-stream") == 1)
        for target in targets[:10]:
            etcd.put(f"{target}/e1", stored(target))
        for target, watcher in zip(targets, watchers, strict=True):
            watcher.wait_until(lambda watcher: watcher.count == 1)
            assert watcher.reported == [("ADD", f"{target}/e1", target)]


@pytest.mark.parametrize("through_a_proxy", [False, True])
def test_closed_watch_is_cancelled_in_etcd(
    own_etcd: Callable[..., Etcd], grpc_proxy: Callable[..., Proxy], through_a_proxy: bool
) -> None:
    """The other watches continue."""
    etcd = own_etcd()
    endpoint = grpc_proxy(etcd).endpoint if through_a_proxy else etcd.endpoint
    with Client([endpoint]) as client, watching(client, "svc") as [stays]:
        before = watches_of(etcd)
        with watching(client, *(f"svc{n}" for n in range(20))):
            wait_until(lambda: watches_of(etcd) == before + 20)
        wait_until(lambda: watches_of(etcd) == before)
        put(etcd, e1="1")
        stays.wait_for_addresses(e1="1")
        assert stays.connections == [True]


def test_refused_watch_does_not_affect_other_watches(auth_etcd: Callable[..., Etcd]) -> None:
    """Existing watches continue, and new ones can be created."""
    etcd = auth_etcd()
    name, _, password = READER.partition(":")
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        sharing(client, "svc") as [allowed],
    ):
        with Watcher(client, target="secret") as denied:
            assert isinstance(denied.wait_for_error(), PermissionDeniedError)
        with watching(client, "svc/deeper") as [later]:
            etcd.put("svc/deeper/e1", stored("1"))
            later.wait_until(lambda later: later.count == 1)
        put(etcd, e1="1")
        allowed.wait_until(lambda allowed: allowed.replayed.get("svc/e1") == Endpoint("1"))
        assert allowed.connections == [True]


def test_watch_begins_when_the_token_of_the_stream_has_expired(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """The new watch uses another stream with a new token, and the existing watch continues."""
    etcd = auth_etcd("--auth-token-ttl=1")
    name, _, password = READER.partition(":")
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        sharing(client, "svc") as [stands],
    ):
        time.sleep(3)  # long enough for the token to expire
        with watching(client, "svc/deeper") as [later]:
            etcd.put("svc/deeper/e1", stored("1"))
            for watcher in (stands, later):
                watcher.wait_until(lambda watcher: watcher.count == 1)
        assert stands.connections == [True]


def test_compacted_watch_does_not_affect_other_watches(own_etcd: Callable[..., Etcd]) -> None:
    """etcd cancels that watch and continues with the others."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, sharing(client, "svc") as [stays]:
        put(etcd, e1="1", e2="2")
        etcd.ctl("compact", str(etcd.revision()))
        with Watcher(client, revision=2) as late:
            late.wait_for_error()
        put(etcd, e3="3")
        stays.wait_for_addresses(e1="1", e2="2", e3="3")
        assert stays.connections == [True]


def test_silent_watch_is_moved_to_another_stream_and_others_stay(
    own_etcd: Callable[..., Etcd], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the watch without its changes is created again, and etcd does not keep the old one."""
    etcd = own_etcd()
    monkeypatch.setattr(range_watch_loop, "VERIFY_INTERVAL", 1)
    monkeypatch.setattr(range_watch_loop, "DELIVERY_TIMEOUT", 2)

    def silent_for_the_second(answers: Answers) -> Answers:
        return (each for each in answers if each.created or each.watch_id != 2)

    with (
        Relay(etcd.endpoint, passed_on, silent_for_the_second) as relay,
        Client([relay.endpoint]) as client,
        sharing(client, "svc0") as [first],
        watching(client, "svc1") as [second],
    ):
        etcd.put("svc0/e1", stored("1"))
        etcd.put("svc1/e1", stored("1"))
        second.wait_until(lambda second: second.count == 1)
        assert second.connections == [True, False, True]
        first.wait_until(lambda first: first.count == 1)
        assert first.connections == [True]
        assert relay.streams == 3
        wait_until(lambda: watches_of(etcd) == 3)


def test_watch_delivers_changes_while_it_verifies_its_keys(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check compares a copy of the known keys, so no change has to wait for it."""
    begun, released, compared = threading.Event(), threading.Event(), list[bool]()
    summarize = KnownKeys.summarize

    def slowly(known: KnownKeys) -> Summary:
        begun.set()
        released.wait(TIMEOUT)
        summary = summarize(known)
        compared.append(known.has_reached(summary))
        return summary

    monkeypatch.setattr(range_watch_loop, "VERIFY_INTERVAL", 0.5)
    monkeypatch.setattr(KnownKeys, "summarize", slowly)
    manager = EndpointManager(client, "svc")
    with watching(client, "svc") as [watcher]:
        assert begun.wait(TIMEOUT)
        manager.add_endpoint("svc/e1", Endpoint("1"))
        watcher.wait_for_addresses(e1="1")
        released.set()
        wait_until(lambda: len(compared) > 1)
        assert compared[:2] == [False, True]
        assert watcher.connections == [True]


def test_slow_watch_delays_no_other_watch_and_misses_nothing(
    own_etcd: Callable[..., Etcd], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow watch is cancelled in etcd, and resumed at once, without a reported disconnect."""
    monkeypatch.setattr(range_watch_loop, "MAX_QUEUED_BYTES", 100_000)
    monkeypatch.setattr(range_watch_loop, "VERIFY_INTERVAL", 3600.0)
    etcd, states = own_etcd(), list[bool]()
    with Client([etcd.endpoint]) as client, sharing(client, "svc") as [quick]:
        manager = EndpointManager(client, "svc")
        with manager.watch(on_state=lambda state: states.append(state.connected)) as slow:
            assert next(slow).first
            wait_until(lambda: watches_of(etcd) == 3)
            for n in range(1500):
                manager.add_endpoint("svc/e1", Endpoint(str(n)))
            quick.wait_for_addresses(e1="1499")
            wait_until(lambda: watches_of(etcd) == 2)
            seen: list[Endpoint | None] = []
            while len(seen) < 1500:
                batch = slow.get(TIMEOUT)
                assert batch
                time.sleep(0.002)  # more slowly than the thread that may open the stream again
                seen += [change.endpoint for change in batch.changes]
            assert seen == [Endpoint(str(n)) for n in range(1500)]
            assert states == [True]


def test_watch_receives_a_transaction_larger_than_its_buffer(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The transaction comes in fragments, and is one batch.

    They arrive while the watch still reads, so they are kept for it. If one was dropped, all of
    them would be requested again, forever.
    """
    monkeypatch.setattr(range_watch_loop, "MAX_QUEUED_BYTES", 1000)
    metadata = "x" * 40_000
    client = SlowClient([etcd.endpoint])
    with client:
        manager = EndpointManager(client, "svc")
        for n in range(3):
            manager.update(
                [Update.add(f"svc/{n}-{each}", Endpoint("1", metadata)) for each in range(30)]
            )
        first = revision_of(manager) - 2
        client.pause = 0.5
        with Watcher(client, revision=first) as late:
            late.wait_until(lambda late: late.count == 90)
        revisions = [Counter(each.revision for each in batch.changes) for batch in late.batches]
    assert all(set(counts.values()) == {30} for counts in revisions if counts)


def test_transaction_is_one_batch_when_it_comes_in_fragments(etcd: Etcd) -> None:
    """Also when the watch has nothing else to do."""

    def in_fragments(answers: Answers) -> Answers:
        for answer in answers:
            events = [*answer.events]
            for event in events[:-1]:
                yield rpc.WatchResponse(
                    header=answer.header, watch_id=answer.watch_id, events=[event], fragment=True
                )
                del answer.events[0]
            yield answer

    with (
        Relay(etcd.endpoint, in_fragments) as relay,
        Client([relay.endpoint]) as client,
        watching(client, "svc") as [watcher],
    ):
        EndpointManager(client, "svc").update(
            [Update.add(f"svc/e{n}", Endpoint("1")) for n in range(5)]
        )
        watcher.wait_until(lambda watcher: watcher.count == 5)
        assert [len(batch.changes) for batch in watcher.batches if batch.changes] == [5]


def watches_of(etcd: Etcd) -> float:
    """Return the number of watches that *etcd* counts."""
    with urlopen(f"http://{etcd.endpoint}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    name = "etcd_debugging_mvcc_watcher_total "
    return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def revision_of(manager: EndpointManager) -> int:
    """Return the current revision."""
    return manager.list().header.revision


def count_calls(monkeypatch: pytest.MonkeyPatch, kind: type, name: str) -> list[None]:
    """Return a list that grows with every call of a method."""
    calls: list[None] = []
    method = getattr(kind, name)

    def counted(self: object, *args: object) -> object:
        calls.append(None)
        return method(self, *args)

    monkeypatch.setattr(kind, name, counted)
    return calls


def names() -> list[str]:
    """Return the names of all running threads."""
    return [thread.name for thread in threading.enumerate()]
