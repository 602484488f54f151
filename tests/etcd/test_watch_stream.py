"""A call for the first watch of a client, and one for all others, which don't touch each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from urllib.request import urlopen

import pytest
from harness import READER, Etcd, Proxy, wait_until
from harness.relay import Answers, Relay, cut_off_when, only_accepted, passed_on, silent
from harness.slow import SlowClient
from harness.watcher import Watcher, put, stored

from etcdnaming import Endpoint, EndpointManager, Update
from etcdnaming.errors import PermissionDeniedError
from etcdnaming.etcd import Client, range_watch_loop, watch_substream
from etcdnaming.etcd.calls import Caller
from etcdnaming.etcd.known_keys import KnownKeys
from etcdnaming.etcd.watch_substream import WatchSubstream

pytestmark = pytest.mark.server


@contextmanager
def watching(client: Client, *targets: str) -> Iterator[list[Watcher]]:
    """Follow *targets*, each of them connected."""
    with ExitStack() as stack:
        watchers = [stack.enter_context(Watcher(client, target=each)) for each in targets]
        for watcher in watchers:
            watcher.wait_until_connected()
        yield watchers


@contextmanager
def sharing(client: Client, *targets: str) -> Iterator[list[Watcher]]:
    """Follow *targets* on the stream that they share, because another one has the call for one."""
    with watching(client, targets[0]), watching(client, *targets) as watchers:
        yield watchers


def test_a_hundred_watches_share_a_stream_and_its_thread(etcd: Etcd) -> None:
    """Which ends with the last of them; each is told what is its own."""
    targets = [f"svc{n}" for n in range(100)]
    with Relay(etcd.endpoint) as relay, Client([relay.endpoint]) as client:
        with sharing(client, *targets) as watchers:
            wait_until(lambda: names().count("etcdnaming-stream") == 2)
            etcd.put_all({f"{each}/e1".encode(): stored(each).encode() for each in targets})
            for target, watcher in zip(targets, watchers, strict=True):
                watcher.wait_until(lambda watcher: watcher.count == 1)
                assert watcher.told == [("ADD", f"{target}/e1", target)]
        assert relay.streams == 2
        wait_until(lambda: "etcdnaming-stream" not in names())


def test_the_next_one_has_the_call_that_the_first_one_had(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does the same one, after a break."""
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


def test_a_call_of_its_own_comes_back_after_a_break(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever others share meanwhile."""
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


def test_a_call_for_one_that_delivers_nothing_is_the_last(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who knows what is on the way, that it does not carry it; it may carry a stream."""
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
def test_a_proxy_that_does_not_carry_a_call_for_one_is_given_a_stream(
    own_etcd: Callable[..., Etcd], grpc_proxy: Callable[..., Proxy], revision: int
) -> None:
    """Immediately and silently."""
    etcd = own_etcd()
    put(etcd, e1="1")
    with (
        Client([grpc_proxy(etcd).endpoint]) as client,
        Watcher(client, revision=revision) as watcher,
    ):
        watcher.wait_until_connected()  # or the change may be part of the first set
        put(etcd, e2="2")
        watcher.wait_for_addresses(e1="1", e2="2")
        assert watcher.connections == [True]


def test_many_watches_share_a_stream_through_the_proxy(
    etcd: Etcd, grpc_proxy: Callable[..., Proxy]
) -> None:
    """Which numbers them as it likes, and puts equal ones together."""
    targets = [f"svc{n}" for n in range(10)] * 3
    with Client([grpc_proxy(etcd).endpoint]) as client, sharing(client, *targets) as watchers:
        wait_until(lambda: names().count("etcdnaming-stream") == 1)
        for target in targets[:10]:
            etcd.put(f"{target}/e1", stored(target))
        for target, watcher in zip(targets, watchers, strict=True):
            watcher.wait_until(lambda watcher: watcher.count == 1)
            assert watcher.told == [("ADD", f"{target}/e1", target)]


@pytest.mark.parametrize("through_a_proxy", [False, True])
def test_a_watch_that_is_closed_ends_on_etcd_too(
    own_etcd: Callable[..., Etcd], grpc_proxy: Callable[..., Proxy], through_a_proxy: bool
) -> None:
    """The others go on."""
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


def test_a_watch_that_is_refused_takes_no_other_along(auth_etcd: Callable[..., Etcd]) -> None:
    """Nor does it keep others from beginning."""
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


def test_a_watch_begins_although_the_token_of_the_stream_has_expired(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """It has another stream, with a new one; what stands is not asked again who it is."""
    etcd = auth_etcd("--auth-token-ttl=1")
    name, _, password = READER.partition(":")
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        sharing(client, "svc") as [stands],
    ):
        time.sleep(3)  # so long that it has expired
        with watching(client, "svc/deeper") as [later]:
            etcd.put("svc/deeper/e1", stored("1"))
            for watcher in (stands, later):
                watcher.wait_until(lambda watcher: watcher.count == 1)
        assert stands.connections == [True]


def test_a_compacted_watch_takes_no_other_along(own_etcd: Callable[..., Etcd]) -> None:
    """It is ended by etcd, who then goes on with the others."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, sharing(client, "svc") as [stays]:
        put(etcd, e1="1", e2="2")
        etcd.ctl("compact", str(etcd.revision()))
        with Watcher(client, revision=2) as late:
            late.wait_for_error()
        put(etcd, e3="3")
        stays.wait_for_addresses(e1="1", e2="2", e3="3")
        assert stays.connections == [True]


def test_one_that_is_silent_is_left_and_the_others_stay(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one is asked for again, on another stream."""
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


def test_a_flood_is_kept_while_we_look_at_all(
    etcd: Etcd, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The more there is to look at, the longer that takes, and the more is kept meanwhile."""
    monkeypatch.setattr(watch_substream, "DEFAULT_MAX_BYTES", 1000)
    monkeypatch.setattr(range_watch_loop, "VERIFY_INTERVAL", 0.5)
    begun = count_calls(monkeypatch, WatchSubstream, "first")
    looks = count_calls(monkeypatch, KnownKeys, "summarize")
    etcd.put_all({b"svc/%04d" % n: stored("1").encode() for n in range(6_000)})
    manager, slow = EndpointManager(client, "svc"), SlowClient([etcd.endpoint])
    with slow, watching(slow, "svc") as [watcher]:
        slow.pause, number = 1, 0
        while len(looks) < 3:
            number += 1
            manager.add_endpoint("svc/e1", Endpoint(str(number)))
        watcher.wait_until(lambda watcher: watcher.count == number)
        assert watcher.connections == [True]
        assert len(begun) == 1
    etcd.empty()


def test_who_is_slow_holds_up_nobody_and_misses_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is dropped and resumes where it was; that is no loss of the connection."""
    monkeypatch.setattr(watch_substream, "DEFAULT_MAX_BYTES", 1000)
    begun = count_calls(monkeypatch, WatchSubstream, "first")
    states: list[bool] = []
    manager = EndpointManager(client, "svc")
    with (
        sharing(client, "svc") as [quick],
        manager.watch(on_state=lambda state: states.append(state.connected)) as slow,
    ):
        assert next(slow).first
        for n in range(1500):
            manager.add_endpoint("svc/e1", Endpoint(str(n)))
        quick.wait_for_addresses(e1="1499")
        seen = [change.endpoint for _ in range(3) for change in next(slow).changes]
        while len(seen) < 1500:
            seen += [change.endpoint for change in next(slow).changes]
        assert seen == [Endpoint(str(n)) for n in range(1500)]
        assert states == [True]
        assert len(begun) > 2


def test_a_transaction_is_kept_whole_however_large(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes in parts: who could not keep them all would ask for them again and again."""
    monkeypatch.setattr(watch_substream, "DEFAULT_MAX_BYTES", 1000)
    metadata = "x" * 40_000
    manager = EndpointManager(client, "svc")
    for n in range(3):
        manager.update(
            [Update.add(f"svc/{n}-{each}", Endpoint("1", metadata)) for each in range(30)]
        )
    with Watcher(client, revision=revision_of(manager) - 2) as late:
        late.wait_until(lambda late: late.count == 90)


def watches_of(etcd: Etcd) -> float:
    """Return how many watches *etcd* has, by its own count."""
    with urlopen(f"http://{etcd.endpoint}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    name = "etcd_debugging_mvcc_watcher_total "
    return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def revision_of(manager: EndpointManager) -> int:
    """Return the present one."""
    return manager.list().header.revision


def count_calls(monkeypatch: pytest.MonkeyPatch, kind: type, name: str) -> list[None]:
    """Let the list that is returned grow with every call of a method."""
    calls: list[None] = []
    method = getattr(kind, name)

    def counted(self: object, *args: object) -> object:
        calls.append(None)
        return method(self, *args)

    monkeypatch.setattr(kind, name, counted)
    return calls


def names() -> list[str]:
    """Return the names of the threads there are."""
    return [thread.name for thread in threading.enumerate()]
