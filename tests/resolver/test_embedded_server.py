"""Services share one xDS server and few targets of gRPC: none of them may harm another."""

from __future__ import annotations

import gc
import random
import socket
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from harness import AT_ONCE, TIMEOUT, Certificates, Etcd, wait_until
from harness.counting import WHO, CountingServers, tls_context

from etcdnaming import Client, Endpoint, EndpointManager, insecure_channel, secure_channel
from etcdnaming.errors import ClientClosedError, InvalidSettingError
from etcdnaming.xds import xds_pb2 as xds
from etcdnaming.xds.embedded import process
from etcdnaming.xds.embedded import services as services_module
from etcdnaming.xds.embedded.resources import MethodRoute, Retry
from etcdnaming.xds.embedded.server import Server
from etcdnaming.xds.names import Kind


def register(client: Client, *services: tuple[str, str]) -> None:
    """Register an endpoint for each (service, address)."""
    for name, addr in services:
        EndpointManager(client, name).add_endpoint(f"{name}/{addr}", Endpoint(addr))


def ask(channel: grpc.Channel, timeout: float = 10, **named: Any) -> str:
    """Return the address of the server that answers, or the error."""
    call: Any = channel.unary_unary(WHO)
    try:
        answer: bytes = call(b"", timeout=timeout, **named)
    except grpc.RpcError as exc:
        return f"{exc.code()} {exc.details()}"
    return answer.decode()


@pytest.mark.parametrize("times", [240, pytest.param(3200, marks=pytest.mark.long)])
def test_every_call_succeeds_when_eight_threads_dial_call_and_close(
    client: Client, servers: CountingServers, times: int
) -> None:
    """Targets of gRPC come and go meanwhile, and it merges its requests for them."""
    addrs = servers.start(24)
    names = [f"svc{number}" for number in range(24)]
    register(client, *zip(names, addrs, strict=True))
    found: Counter[str] = Counter()

    def churn(seed: int) -> None:
        chosen = random.Random(seed)
        for _ in range(times // 8):
            number = chosen.randrange(24)
            with insecure_channel(names[number], client) as channel:
                answer = ask(channel)
            found["good" if answer == addrs[number] else answer] += 1
            if chosen.random() < 0.15:
                time.sleep(chosen.random() * 0.1)

    threads = [threading.Thread(target=churn, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"good": times}


def test_services_reach_their_own_servers_when_their_authorities_are_equal(
    client: Client, servers: CountingServers
) -> None:
    """By the last part of the target, by ``authority=`` in any case, and by gRPC's option."""
    names = [f"ns{number}/grpc" for number in range(4)]
    addrs = servers.start(4)
    register(client, *zip(names, addrs, strict=True))
    option = [("grpc.default_authority", "svc.test")]
    dialled = [
        [insecure_channel(name, client) for name in names],
        [insecure_channel(name, client, authority="svc.test") for name in names],
        [insecure_channel(name, client, authority="SVC.test") for name in names],
        [insecure_channel(name, client, options=option) for name in names],
    ]
    for _ in range(2):
        assert [[*map(ask, channels)] for channels in dialled] == [addrs] * 4
    for channels in dialled:
        for channel in channels:
            channel.close()


@pytest.mark.parametrize(
    "authority",
    ["a:1234", "[::1]:50", "*", "*.x", "x.*", "a b", "a/b", "ä", "a%20b", "x" * 300, "u@h", "A.b"],
)
def test_channel_reaches_its_server_when_its_authority_is_odd(
    client: Client, servers: CountingServers, authority: str
) -> None:
    """Beside services with a plain one."""
    odd, plain = servers.start(2)
    register(client, ("odd", odd), ("plain", plain))
    with (
        insecure_channel("plain", client) as before,
        insecure_channel("odd", client, authority=authority) as channel,
    ):
        assert [ask(before), ask(channel)] == [plain, odd]
        with insecure_channel("plain", client, authority="other") as after:
            assert [ask(after), ask(before), ask(channel)] == [plain, plain, odd]


def test_channels_with_tls_are_judged_by_their_own_settings_side_by_side(
    client: Client, tmp_path: Path
) -> None:
    """One has the right CA, others a wrong CA, a wrong name or no TLS at all."""
    certificates = Certificates(tmp_path)
    right = grpc.ssl_channel_credentials(certificates.ca.read_bytes())
    wrong = grpc.ssl_channel_credentials(certificates.other_ca.read_bytes())
    with closing(CountingServers(tls_context(certificates))) as servers:
        (addr,) = servers.start()
        register(client, ("svc", addr))
        good, other_ca, other_name, no_tls = channels = [
            secure_channel("svc", right, client, authority="localhost"),
            secure_channel("svc", wrong, client, authority="localhost"),
            secure_channel("svc", right, client, authority="other"),
            insecure_channel("svc", client, authority="localhost"),
        ]
        for _ in range(2):
            assert ask(good) == addr
            assert all("UNAVAILABLE" in ask(each) for each in (other_ca, other_name, no_tls))
        for channel in channels:
            channel.close()


@contextmanager
def calling(channel: grpc.Channel) -> Iterator[Counter[str]]:
    """Call one after another in a thread; yield the counter of the answers."""
    stop, found = threading.Event(), Counter[str]()

    def run() -> None:
        while not stop.wait(0.001):
            found[ask(channel)] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def test_calls_and_connections_go_on_when_other_services_join_the_table(
    client: Client, servers: CountingServers
) -> None:
    """Each dial sends gRPC the whole table; the first call of the new channel succeeds at once."""
    first, *addrs = servers.start(30)
    names = [f"more{number}" for number in range(len(addrs))]
    register(client, ("first", first), *zip(names, addrs, strict=True))
    with insecure_channel("first", client) as channel, calling(channel) as found:
        wait_until(lambda: found)
        channels = [insecure_channel(name, client) for name in names]
        assert [ask(each) for each in channels] == addrs
        assert {slot.uri for slot in process.services._slots.values() if slot.hosts} >= {
            channel._service.slot.uri
        }
        for each in channels:
            each.close()
    assert set(found) == {first}
    assert servers.accepted == dict.fromkeys([first, *addrs], 1)


def test_dial_that_fails_leaves_nothing_in_the_tables(etcd: Etcd) -> None:
    """A program may try again and again."""
    client = Client([etcd.endpoint])
    client.close()
    before = len(process.services._by_cluster), len(process.services._slots)
    with pytest.raises(ClientClosedError):
        insecure_channel("svc", client, authority="A slot of its own")
    assert (len(process.services._by_cluster), len(process.services._slots)) == before


def make_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server take its time before it sends a change."""
    server: Any = process.services._server
    original = server._mark_changes

    def mark_changes() -> None:
        time.sleep(0.03)
        original()

    monkeypatch.setattr(server, "_mark_changes", mark_changes)


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give gRPC time to accept a table: on a busy machine a service would get a new target."""
    monkeypatch.setattr(services_module, "ACCEPT_TIMEOUT", TIMEOUT)


@pytest.mark.usefixtures("_patient")
def test_new_service_is_called_at_once_when_its_target_is_in_use(
    client: Client, servers: CountingServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GRPC has accepted its table by the time the channel is returned, on a busy machine, too."""
    first, *addrs = servers.start(6)
    names = [f"more{number}" for number in range(len(addrs))]
    register(client, ("first", first), *zip(names, addrs, strict=True))
    with insecure_channel("first", client) as channel:
        assert ask(channel) == first
        make_slow(monkeypatch)
        for name, addr in zip(names, addrs, strict=True):
            with insecure_channel(name, client) as another:
                assert another._service.slot is channel._service.slot
                assert ask(another) == addr


@pytest.mark.usefixtures("_patient")
def test_refused_service_raises_an_error_and_the_others_of_its_target_go_on(
    client: Client, servers: CountingServers
) -> None:
    """GRPC refuses the whole table; without that service it takes it again."""
    first, second = servers.start(2)
    register(client, ("first", first), ("second", second))
    impossible = MethodRoute("", "", retry=Retry(("unavailable",), 1, 0.1, 1.0))  # no retry
    with insecure_channel("first", client) as channel:
        assert ask(channel) == first
        with pytest.raises(InvalidSettingError, match="gRPC refuses the service"):
            process.follow(client, "bad", 30.0, "round_robin", (impossible,), "bad")
        with insecure_channel("second", client) as another:
            assert another._service.slot is channel._service.slot
            assert [ask(channel), ask(another)] == [first, second]


def test_queued_call_is_sent_when_its_channel_is_gone_and_others_have_come(
    client: Client, servers: CountingServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stub outlives its channel: its service stays in the table, and is followed."""
    monkeypatch.setattr(services_module, "LINGER", 0.2)
    late, other = servers.start(2)
    register(client, ("other", other))

    def dial() -> Any:
        return insecure_channel("late", client).unary_unary(WHO)

    stub = dial()
    future = stub.future(b"", timeout=20, wait_for_ready=True)
    gc.collect()
    for number in range(3):
        time.sleep(0.3)  # longer than an unused service is kept
        with insecure_channel("other", client, authority=f"other{number}") as channel:
            assert ask(channel) == other
    register(client, ("late", late))
    assert future.result() == late.encode()


@pytest.mark.parametrize("was_used", [False, True])
def test_idle_stub_works_when_its_channel_is_gone_and_its_service_is_not_watched(
    client: Client, servers: CountingServers, monkeypatch: pytest.MonkeyPatch, was_used: bool
) -> None:
    """GRPC asks for nothing meanwhile, and others come; the service stays in the table."""
    monkeypatch.setattr(services_module, "LINGER", 0.1)
    addr, other = servers.start(2)
    register(client, ("idle", addr), ("other", other))
    options = [("grpc.client_idle_timeout_ms", 1000)]  # 30 minutes by default
    channel = insecure_channel("idle", client, options=options)
    stub: Any = channel.unary_unary(WHO)
    service = channel._service
    if was_used:
        assert stub(b"", timeout=10).decode() == addr
    del channel
    gc.collect()
    wait_until(lambda: service._catalog is None)
    with insecure_channel("other", client) as another:
        assert ask(another) == other
        assert stub(b"", timeout=10).decode() == addr


def test_idle_stub_fails_alone_when_its_client_is_closed(
    etcd: Etcd, client: Client, servers: CountingServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its call fails at once, and harms no other service of the same target of gRPC."""
    monkeypatch.setattr(services_module, "LINGER", 0.1)
    addr, other = servers.start(2)
    register(client, ("idle", addr), ("other", other))
    with Client([etcd.endpoint]) as closed:
        channel = insecure_channel("idle", closed)
        stub: Any = channel.unary_unary(WHO)
        service = channel._service
        del channel
        gc.collect()
        wait_until(lambda: service._catalog is None)
    with insecure_channel("other", client) as another:
        assert ask(another) == other
        with pytest.raises(grpc.RpcError) as caught:
            stub(b"", timeout=TIMEOUT)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert ask(another) == other
        assert not service.slot.broken


def test_idle_stub_fails_at_once_when_its_client_is_gone_and_its_slot_has_no_other_service(
    etcd: Etcd, client: Client, servers: CountingServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service is forgotten; gRPC waits 15 s for what it asks for and does not get."""
    monkeypatch.setattr(services_module, "LINGER", 0.1)
    (addr,) = servers.start()
    register(client, ("idle", addr))
    with Client([etcd.endpoint]) as closed:
        channel = insecure_channel("idle", closed, authority="a slot of its own")
        stub: Any = channel.unary_unary(WHO)
        service = channel._service
        del channel
        gc.collect()
        wait_until(lambda: service._catalog is None)
    del closed

    def is_forgotten() -> bool:
        gc.collect()  # a thread that ends may still have the client
        with insecure_channel("other", client):  # its release has the services looked at again
            return service.cluster not in process.services._by_cluster

    wait_until(is_forgotten)

    start = time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        stub(b"", timeout=TIMEOUT)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert time.monotonic() - start < AT_ONCE


def test_what_was_forgotten_is_answered_with_nothing_in_it() -> None:
    """A service may be forgotten while gRPC asks for one thing of it after the other."""
    services = services_module.Services()
    found = {}
    for kind in (Kind.LISTENER, Kind.CLUSTER, Kind.ASSIGNMENT):
        packed = services.resource(kind, "gone", xds.Node())
        assert packed
        found[kind] = xds.Any.FromString(packed)

    assert all(any_.type_url == kind.type_url for kind, any_ in found.items())
    assert xds.Listener.FromString(found[Kind.LISTENER].value).name == "gone"
    assert xds.Cluster.FromString(found[Kind.CLUSTER].value).name == "gone"
    sent = xds.ClusterLoadAssignment.FromString(found[Kind.ASSIGNMENT].value)
    assert (sent.cluster_name, len(sent.endpoints)) == ("gone", 0)


def test_service_is_not_watched_when_its_client_is_gone() -> None:
    """GRPC may still ask for it: then it is served as that of a closed client."""
    with Client(["127.0.0.1:1"]) as client:
        reference = weakref.ref(client)
    del client
    wait_until(lambda: gc.collect() >= 0 and reference() is None)
    key = services_module.ServiceKey(reference, "svc", 30.0, "round_robin", (), "svc")
    service = services_module.Service(process.services, "svc", key)
    with pytest.raises(ClientClosedError):
        service.watch()


def break_connections() -> None:
    """End gRPC's connections to the server in this process."""
    server = process.services._server
    assert server
    with process.services.lock:
        for peer in server._peers.values():
            peer.socket.shutdown(socket.SHUT_RDWR)


def test_channels_go_on_when_grpc_loses_its_connection_to_the_server(
    client: Client, servers: CountingServers
) -> None:
    """Old and new services are called at once, and changes arrive when gRPC is connected again."""
    first, second, third, fourth = servers.start(4)
    register(client, ("first", first), ("second", second))
    with insecure_channel("first", client) as channel, calling(channel) as found:
        wait_until(lambda: found)
        break_connections()
        with insecure_channel("second", client) as another:
            assert ask(another) == second
            register(client, ("first", third), ("second", fourth))
            wait_until(lambda: {ask(another) for _ in range(4)} == {second, fourth})
        wait_until(lambda: found[third])
    assert set(found) == {first, third}


def test_other_channels_go_on_when_the_server_fails_for_one_service(
    client: Client,
    servers: CountingServers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error is logged, and the service works when gRPC asks again."""
    first, second, third = servers.start(3)
    register(client, ("first", first), ("second", second))
    original = process.services.resource
    failures: list[str] = []

    def resource(kind: Any, name: str, node: Any) -> bytes | None:
        if "second" in name and not failures:
            failures.append(name)
            raise ValueError("a bug")
        return original(kind, name, node)

    with insecure_channel("first", client) as channel, calling(channel) as found:
        wait_until(lambda: found)
        monkeypatch.setattr(process.services, "resource", resource)
        with insecure_channel("second", client) as another:
            assert ask(another) == second
        register(client, ("first", third))
        wait_until(lambda: found[third])
    assert set(found) == {first, third}
    assert len(failures) == 1
    assert "a bug" in caplog.text


def test_server_sleeps_until_its_next_timer(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed channel leaves a timer, for the end of its watch."""
    steps: list[None] = []
    time_left = Server._time_left

    def counted(server: Server) -> float | None:
        steps.append(None)
        return time_left(server)

    monkeypatch.setattr(Server, "_time_left", counted)
    with insecure_channel("svc", client):
        pass
    server = process.services._server
    assert server
    assert server._timers

    def is_asleep() -> bool:
        before = len(steps)
        time.sleep(1)
        return len(steps) - before < 20

    wait_until(is_asleep)  # what follows the end of this channel and of others takes seconds
    with process.services.lock:  # no timer is called meanwhile
        server.call_later(0.2, lambda: None)
        left = server._time_left()
    assert left is not None
    assert left <= 0.2
