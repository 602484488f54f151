"""Synchronous channels that follow etcd, tested with real gRPC servers."""

from __future__ import annotations

import gc
import json
import logging
import math
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from inspect import signature
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc.experimental import ChannelOptions
from harness import AT_ONCE, READER, TIMEOUT, Etcd, wait_until
from harness.backends import Backend, Backends, method
from harness.load import load
from harness.relay import Relay, cut_off_when, passed_on
from harness.resources import descriptors

from etcdnaming import Endpoint, EndpointManager, Update, insecure_channel, secure_channel
from etcdnaming.errors import InvalidSettingError, InvalidTargetError
from etcdnaming.etcd import Client
from etcdnaming.model import Change, ChangeBatch, Operation
from etcdnaming.resolver.channel import Channel
from etcdnaming.xds import host_names
from etcdnaming.xds.embedded import services
from etcdnaming.xds.endpoint_cache import EndpointCache

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
DEADLINE_EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED
SERVE = Path(__file__).parent / "harness" / "serve.py"


@pytest.fixture
def manager(client: Client) -> EndpointManager:
    """Return the manager of the target ``foo/svc``."""
    return EndpointManager(client, "foo/svc")


@pytest.fixture
def channel(client: Client) -> Iterator[Channel]:
    """Return a channel to ``foo/svc``."""
    with insecure_channel("etcd:///foo/svc", client) as channel:
        yield channel


def add(manager: EndpointManager, *backends: Backend | str, name: str = "foo/svc") -> None:
    """Register *backends* in one transaction, each under its address."""
    addrs = [each if isinstance(each, str) else each.addr for each in backends]
    manager.update([Update.add(f"{name}/{addr}", Endpoint(addr)) for addr in addrs])


def remove(manager: EndpointManager, *backends: Backend) -> None:
    """Deregister *backends* in one transaction."""
    manager.update([Update.delete(f"foo/svc/{each.addr}") for each in backends])


def ask(channel: grpc.Channel, times: int = 1, **terms: Any) -> Counter[str]:
    """Call ``Who`` so many times, and count the answers by the address of the server."""
    who: Any = channel.unary_unary(method("Who"))
    return Counter(who(b"", **{"timeout": 10, **terms}).decode() for _ in range(times))


def why_not(channel: Channel) -> str:
    """Return the text of the error that a call fails with."""
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel)
    return str(caught.value)


def wait_for(channel: Channel, *backends: Backend) -> None:
    """Return when the channel has exactly these servers and calls reach each of them."""
    wanted = {each.addr for each in backends}
    wait_until(lambda: {each.addr for each in channel.endpoints} == wanted)
    # gRPC has the endpoints a moment after `endpoints` shows them.
    wait_until(lambda: set(ask(channel, 2 * len(wanted), wait_for_ready=True)) == wanted)


def test_pick_first_sends_all_calls_to_one_server(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """Go's test of its resolver checks the same."""
    add(manager, backends(), backends())
    with insecure_channel("foo/svc", client, policy="pick_first") as channel:
        assert list(ask(channel, 100).values()) == [100]


def test_round_robin_sends_half_of_the_calls_to_each_server(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """The share may differ by 25 %, as in Go's test."""
    both = backends(), backends()
    add(manager, *both)
    wait_for(channel, *both)
    answers = ask(channel, 200)
    assert sorted(answers) == sorted(each.addr for each in both)
    assert all(75 <= count <= 125 for count in answers.values())


def test_channel_ignores_a_service_whose_name_only_begins_like_its_target(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """The endpoints of ``foo/svc_other`` are not endpoints of ``foo/svc``."""
    ours, other = backends(), backends()
    add(manager, ours)
    add(EndpointManager(client, "foo/svc_other"), other, name="foo/svc_other")
    for target, backend in (("foo/svc", ours), ("foo/svc_other", other)):
        with insecure_channel(target, client) as channel:
            assert ask(channel, 20) == {backend.addr: 20}


def test_channel_applies_a_transaction_as_one_change(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """Two endpoints that are added in one transaction appear at the same time."""
    first, second, third = backends(), backends(), backends()
    add(manager, first)
    wait_for(channel, first)
    seen = {1}
    add(manager, second, third)
    while 3 not in seen:
        seen.add(len(channel.endpoints))
    assert seen == {1, 3}
    wait_for(channel, first, second, third)


def test_channel_makes_all_kinds_of_calls(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """Unary and streaming calls work in each form that gRPC offers."""
    backend = backends()
    add(manager, backend)
    wait_for(channel, backend)
    echo = channel.unary_unary(method("Echo"), bytes.upper, bytes.decode)
    count = channel.unary_stream(method("Count"))
    total = channel.stream_unary(method("Sum"))
    chat = channel.stream_stream(method("Chat"))

    assert echo(b"a", timeout=5) == "A"
    assert echo.with_call(request=b"b", timeout=5)[0] == "B"
    assert echo.future(b"c", 5).result(5) == "C"
    assert [int(each) for each in count(b"3", timeout=5)] == [0, 1, 2]
    assert total(iter([b""] * 3), timeout=5) == b"3"
    response, call = total.with_call(request_iterator=iter([b""] * 4), timeout=5)
    assert (response, call.code()) == (b"4", grpc.StatusCode.OK)
    assert total.future(iter([b""] * 5), timeout=5).result() == b"5"
    assert list(chat(iter([b"x", b"y"]), timeout=5)) == [b"x", b"y"]


# An argument of newer generated stubs, which only newer gRPC accepts.
_TAKEN = signature(grpc.Channel.unary_unary).parameters
REGISTERED: Any = {name: True for name in _TAKEN if name == "_registered_method"}


class Stub:
    """A stub as protoc generates it."""

    def __init__(self, channel: Any) -> None:
        """Create the callables of the service."""
        self.Echo = channel.unary_unary(
            method("Echo"),
            request_serializer=str.encode,
            response_deserializer=bytes.decode,
            **REGISTERED,
        )
        self.Chat = channel.stream_stream(
            method("Chat"),
            request_serializer=str.encode,
            response_deserializer=bytes.decode,
            **REGISTERED,
        )


def test_generated_stub_works_after_all_servers_are_replaced(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """The channel is a `grpc.Channel`, so a stub needs no change."""
    assert isinstance(channel, grpc.Channel)
    stub = Stub(channel)
    first, second = backends(), backends()
    for backend, others in ((first, ()), (second, (first,))):
        add(manager, backend)
        if others:
            remove(manager, *others)
        wait_for(channel, backend)
        assert stub.Echo("é", timeout=5) == "é"
        assert list(stub.Chat(iter("xy"), timeout=5)) == ["x", "y"]
        assert backend.calls["Echo"] == backend.calls["Chat"] == 1


def test_calls_use_metadata_compression_and_retries(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """Retries are configured by the service config in the channel options."""
    add(manager, backends())
    config = {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.01s",
                    "maxBackoff": "0.01s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
    with insecure_channel(
        "foo/svc",
        client,
        options=[("grpc.service_config", json.dumps(config))],
        compression=grpc.Compression.Gzip,
    ) as channel:
        got = channel.unary_unary(method("Metadata"))(b"", metadata=(("key", "value"),))
        assert b"'key': 'value'" in got
        assert channel.unary_unary(method("Echo"))(b"x" * 9999) == b"x" * 9999
        assert channel.unary_unary(method("Flaky"))(b"") == b"3"


class Stamp(grpc.UnaryUnaryClientInterceptor):
    """An interceptor that counts calls."""

    def __init__(self) -> None:
        self.calls = 0

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """Count the call and continue it."""
        self.calls += 1
        return continuation(details, request)


def test_interceptor_sees_calls_that_succeed_and_calls_that_fail(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """A call that fails because there is no endpoint passes the interceptor, too."""
    stamp = Stamp()
    stamped = grpc.intercept_channel(channel, stamp)
    wait_until(lambda: channel.age is not None)
    with pytest.raises(grpc.RpcError) as caught:
        ask(stamped)
    assert caught.value.code() is UNAVAILABLE
    backend = backends()
    add(manager, backend)
    assert ask(stamped, wait_for_ready=True) == {backend.addr: 1}
    echo: Any = stamped.unary_unary(method("Echo"))
    assert echo.future(b"f", timeout=5).result() == b"f"
    assert stamp.calls == 3


def test_connectivity_callback_gets_changes_of_the_service_only(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """A replaced set of connections is not reported; an empty set of endpoints is."""
    first, second = backends(), backends()
    states: list[grpc.ChannelConnectivity] = []
    ready = grpc.channel_ready_future(channel)
    channel.subscribe(states.append, try_to_connect=True)
    add(manager, first)
    ready.result(timeout=10)
    add(manager, second)
    wait_for(channel, first, second)
    wait_until(lambda: states[-1] is grpc.ChannelConnectivity.READY)
    assert states.count(grpc.ChannelConnectivity.READY) == 1
    remove(manager, first, second)
    wait_until(lambda: states[-1] is grpc.ChannelConnectivity.TRANSIENT_FAILURE)
    channel.unsubscribe(states.append)
    reported = len(states)
    add(manager, first)
    wait_for(channel, first)
    assert len(states) == reported


def test_call_fails_at_once_when_the_service_has_no_endpoints(
    channel: Channel, manager: EndpointManager
) -> None:
    """Every kind of call fails with gRPC's usual error object; the reason is in gRPC's words."""
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel)
    assert caught.value.code() is UNAVAILABLE
    assert "foo/svc" in str(caught.value)
    future = channel.unary_unary(method("Echo")).future(b"", timeout=5)
    assert future.code() is UNAVAILABLE
    with pytest.raises(grpc.RpcError) as caught:
        next(channel.unary_stream(method("Count"))(b"1"))
    assert caught.value.code() is UNAVAILABLE
    assert channel.endpoints == ()
    assert repr(channel) == "<Channel to foo/svc: 0 endpoints>"


def test_future_and_stream_wait_for_the_first_endpoint_with_wait_for_ready(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """The future and the stream are returned at once, and sent when there is an endpoint."""
    reported: list[Any] = []
    future = channel.unary_unary(method("Who")).future(b"", timeout=20, wait_for_ready=True)
    future.add_done_callback(reported.append)
    stream = channel.stream_stream(method("Chat"))(iter([b"a", b"b"]), wait_for_ready=True)
    cancelled = channel.unary_unary(method("Who")).future(b"", wait_for_ready=True)
    late = channel.unary_unary(method("Who")).future(b"", timeout=0.3, wait_for_ready=True)
    late.add_done_callback(reported.append)
    assert not future.done()
    assert stream.is_active()
    with pytest.raises(grpc.FutureTimeoutError):
        future.result(timeout=0.05)
    assert cancelled.cancel()
    assert cancelled.cancelled()
    with pytest.raises(grpc.RpcError):
        late.result()
    wait_until(lambda: reported == [late])
    assert late.code() is DEADLINE_EXCEEDED

    backend = backends()
    add(manager, backend)
    assert future.result(timeout=10) == backend.addr.encode()
    wait_until(lambda: reported == [late, future])
    assert list(stream) == [b"a", b"b"]
    assert backend.calls == {"Who": 1, "Chat": 1}


def test_blocked_call_is_sent_when_the_first_endpoint_is_added(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """It fails as usual if its deadline passes before."""
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, wait_for_ready=True, timeout=0.3)
    assert caught.value.code() is DEADLINE_EXCEEDED
    backend = backends()
    timer = threading.Timer(0.3, add, (manager, backend))
    timer.start()
    assert ask(channel, wait_for_ready=True) == {backend.addr: 1}
    timer.join()


def test_calls_wait_until_the_endpoints_are_known(
    own_etcd: Callable[[], Etcd], backends: Backends
) -> None:
    """Calls wait up to their deadline, with or without wait_for_ready."""
    etcd, backend = own_etcd(), backends()
    etcd.put("foo/svc/e1", f'{{"Op":0,"Addr":"{backend.addr}"}}')
    etcd.stop()
    with Client([etcd.endpoint]) as client, insecure_channel("foo/svc", client) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            ask(channel, timeout=0.5)
        assert caught.value.code() is DEADLINE_EXCEEDED
        assert channel.age is None
        future = channel.unary_unary(method("Who")).future(b"", timeout=30)
        etcd.start()
        assert ask(channel, timeout=30) == {backend.addr: 1}
        assert future.result() == backend.addr.encode()


def test_new_endpoint_gets_calls_soon_and_a_removed_one_gets_none(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """No call fails under load meanwhile."""
    first = backends()
    add(manager, first)
    wait_for(channel, first)
    with load(channel) as outcome:
        delays = []
        for _ in range(7):
            backend = backends()
            began = time.monotonic()
            add(manager, backend)
            assert backend.first.wait(TIMEOUT)
            delays.append(time.monotonic() - began)
            remove(manager, backend)
            wait_until(lambda gone=backend: Endpoint(gone.addr) not in channel.endpoints)  # type: ignore[misc]
            wait_until(lambda gone=backend: is_idle(gone))  # type: ignore[misc]
    assert outcome.errors == []
    assert sorted(delays)[3] < 1  # 0.05 s on an idle machine


def is_idle(backend: Backend) -> bool:
    """Return whether *backend* gets no more calls; one that was sent before may still arrive."""
    calls = backend.calls.total()
    time.sleep(0.1)
    return backend.calls.total() == calls


def test_calls_in_flight_finish_when_all_servers_are_replaced(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """Calls of every kind finish on the old servers, and new calls go to the new ones."""
    old, new = [backends(), backends()], [backends(), backends()]
    add(manager, *old)
    wait_for(channel, *old)
    slow = channel.unary_unary(method("Slow"))
    future = slow.future(b"1")
    count = channel.unary_stream(method("Count"))(b"20 0.05")
    blocked: list[bytes] = []
    thread = threading.Thread(target=lambda: blocked.append(slow(b"1")))
    thread.start()
    wait_until(lambda: sum(each.calls["Slow"] + each.calls["Count"] for each in old) == 3)
    with load(channel) as outcome:
        manager.update(
            [Update.delete(f"foo/svc/{each.addr}") for each in old]
            + [Update.add(f"foo/svc/{each.addr}", Endpoint(each.addr)) for each in new]
        )
        wait_for(channel, *new)
        assert set(ask(channel, 20)) == {each.addr for each in new}
    assert outcome.errors == []
    thread.join()
    addrs = {each.addr.encode() for each in old}
    assert {future.result(), *blocked} <= addrs
    assert len(list(count)) == 20


def test_single_threaded_stream_continues_when_its_server_is_removed(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """gRPC cancels such a stream when its channel is freed, so the channel must be kept."""
    old, new = backends(), backends()
    add(manager, old)
    options = [(ChannelOptions.SingleThreadedUnaryStream, 1)]
    with insecure_channel("foo/svc", client, options=options) as channel:
        count = channel.unary_stream(method("Count"))(b"10 0.05")
        assert next(count) == b"0"
        add(manager, new)
        remove(manager, old)
        wait_for(channel, new)
        gc.collect()
        assert len(list(count)) == 9


def test_new_endpoints_are_connected_before_they_replace_the_old_ones(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """The old ones get the calls meanwhile, for at most one second."""
    backend = backends()
    add(manager, backend)
    wait_for(channel, backend)
    with socket.create_server(("127.0.0.1", 0)) as mute:  # accepts connections and sends nothing
        began = time.monotonic()
        manager.update(
            [
                Update.delete(f"foo/svc/{backend.addr}"),
                Update.add("foo/svc/mute", Endpoint(f"127.0.0.1:{mute.getsockname()[1]}")),
            ]
        )
        last = began
        with suppress(grpc.RpcError):
            while True:
                ask(channel, timeout=3)
                last = time.monotonic()
    assert last - began > 0.5


def test_each_server_is_connected_once_when_others_come(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """A change of the endpoints leaves the connections to the others alone."""
    all_of_them = [backends() for _ in range(10)]
    for n, backend in enumerate(all_of_them):
        add(manager, backend)
        wait_for(channel, *all_of_them[: n + 1])
    assert [len(each.peers) for each in all_of_them] == [1] * 10


def test_connections_stay_when_only_metadata_change(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """Connections also stay when a second endpoint has an address that is known already."""
    backend = backends()
    add(manager, backend)
    wait_for(channel, backend)
    endpoint = Endpoint(backend.addr, {"zone": "b"})
    manager.add_endpoint(f"foo/svc/{backend.addr}", endpoint)
    manager.add_endpoint("foo/svc/twin", endpoint)
    wait_until(lambda: channel.endpoints == (endpoint, endpoint))
    assert ask(channel, 20) == {backend.addr: 20}
    assert len(backend.peers) == 1


def test_endpoint_that_cannot_be_dialled_is_left_out_with_one_warning(
    channel: Channel,
    manager: EndpointManager,
    backends: Backends,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The other endpoints get the calls."""
    backend = backends()
    with caplog.at_level(logging.WARNING):
        add(manager, "nonsense", "10.0.0.1", "does-not-exist.invalid:80")
        add(manager, backend, "a b:80", "unix:/tmp/x", "[::1%lo]:80")
        wait_for(channel, backend)
    assert ask(channel, 10) == {backend.addr: 10}
    for what in ("nonsense", "10.0.0.1", "unix:/tmp/x", "does-not-exist.invalid", "a b:80", "%lo"):
        wait_until(lambda what=what: _left_out(caplog, what) == 1)  # type: ignore[misc]


def _left_out(caplog: pytest.LogCaptureFixture, what: str) -> int:
    left_out = [each for each in caplog.messages if "left out" in each and what in each]
    return len({each.partition(" left out")[0] for each in left_out})


HOSTILE = (
    "[fe80::1%nope0]:80",
    "[fe80::1%25nope0]:80",
    "[fe80::1%4294967297]:80",
    "[fe80::1%12345678901234567890]:80",
    "[fe80::1%et/h]:80",
    "[fe80::1%a?b]:80",
    "[::1%nope0]:80",
    "1.2.3.4:0",
    "1.2.3.4:99999",
    "1.2.3.4:80,5.6.7.8:80",
    "http://1.2.3.4:80",
    "1.2.3.4 :80",
    "1.2.3.4:80#x",
    "1.2.3.4:80?x",
    "unix:/a,/b",
    "unix:" + "x" * 200,
    "",
)
"""What gRPC refuses of a target, or takes for several: one of them fails every call."""


def test_channel_leaves_out_every_address_that_grpc_refuses(
    channel: Channel,
    manager: EndpointManager,
    backends: Backends,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No call fails beside such addresses, and each of them is logged as one warning."""
    backend = backends()
    manager.update([Update.add(f"foo/svc/{n}", Endpoint(addr)) for n, addr in enumerate(HOSTILE)])
    add(manager, backend)
    wait_until(lambda: {each.addr for each in channel.endpoints} == {backend.addr})
    assert ask(channel, 20) == {backend.addr: 20}
    keys = [f"foo/svc/{n} is left out: " for n in range(len(HOSTILE))]
    wait_until(lambda: all(any(key in each for each in caplog.messages) for key in keys))
    assert len(caplog.messages) == len(set(caplog.messages))


WARNED = """
import sys, time
from etcdnaming import Client, insecure_channel
channel = insecure_channel("svc", Client([sys.argv[1]]))
while not channel.endpoints:
    time.sleep(0.01)
"""


def test_channel_warning_is_on_stderr_when_logging_is_not_configured(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """Each warning is one line, in which text from etcd is escaped."""
    etcd.put("svc/bad", json.dumps({"Addr": "a\nError: b\x1b[2J:80"}))
    etcd.put("svc/good", json.dumps({"Addr": "127.0.0.1:1"}))
    done = subprocess.run(
        [sys.executable, "-c", WARNED, etcd.endpoint],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    [line] = done.stderr.splitlines()
    assert line.startswith(r"svc/bad is left out: ")
    assert r"a\nError: b\x1b[2J:80" in line


def test_host_names_and_addresses_of_both_families_can_be_mixed(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """
    Names are resolved here, because a gRPC target can hold only one name.

    A truncated ::1 still reaches its server, but a truncated 127.0.0.3 does not.
    """
    named, v4, v6 = backends("127.0.0.1:0"), backends("127.0.0.1:0"), backends("[::1]:0")
    mapped = backends("127.0.0.3:0")
    add(manager, f"localhost:{named.port}", v4, v6, f"[::ffff:127.0.0.3]:{mapped.port}")
    wait_until(lambda: len(channel.endpoints) == 4)
    wanted = {each.addr for each in (named, v4, v6, mapped)}
    wait_until(lambda: set(ask(channel, 16)) == wanted)


def test_host_names_are_resolved_again_periodically(
    channel: Channel,
    manager: EndpointManager,
    backends: Backends,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last addresses are kept while the DNS gives no answer."""
    first = backends("127.0.0.2:0")
    second = backends(f"127.0.0.3:{first.port}")
    known = {"moving.test": "127.0.0.2"}
    real = socket.getaddrinfo

    def look_up(host: str, *args: Any, **named: Any) -> Any:
        if not host.endswith(".test"):
            return real(host, *args, **named)
        if host not in known:
            raise socket.gaierror(socket.EAI_AGAIN, "later")
        return real(known[host], *args, **named)

    monkeypatch.setattr(host_names, "REFRESH", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    add(manager, f"moving.test:{first.port}")
    assert ask(channel, wait_for_ready=True) == {first.addr: 1}
    known.clear()
    time.sleep(0.5)
    assert ask(channel, 5) == {first.addr: 5}
    known["moving.test"] = "127.0.0.3"
    wait_until(lambda: set(ask(channel)) == {second.addr})
    assert ask(channel, 5) == {second.addr: 5}


def test_registered_endpoint_gets_no_calls_when_its_server_has_stopped(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """The endpoint stays registered; at most the calls in flight on its server fail."""
    dead, alive = backends(), backends()
    add(manager, dead, alive)
    wait_for(channel, dead, alive)
    dead.stop(0.2)
    wait_until(lambda: set(ask(channel, 4, wait_for_ready=True)) == {alive.addr})
    assert ask(channel, 100) == {alive.addr: 100}


def test_killed_server_fails_only_the_calls_in_flight_on_it(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """The server stays registered, and gets no new calls."""
    alive, pipe = backends(), subprocess.PIPE
    command = [sys.executable, str(SERVE), "1"]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        addr = f"127.0.0.1:{process.stdout.readline().strip()}"
        add(manager, alive, addr)
        wait_until(lambda: len(channel.endpoints) == 2)
        wait_until(lambda: len(ask(channel, 4)) == 2)
        with load(channel, unary=4, streams=4) as outcome:
            time.sleep(0.5)
            process.kill()
            after = outcome.calls + 700
            wait_until(lambda: outcome.calls > after)
            assert ask(channel, 50) == {alive.addr: 50}
    assert len(outcome.errors) <= 4 + 4


def test_authority_is_the_last_part_of_the_target_unless_it_is_given(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """A server whose certificate has another name is refused."""
    authorities: list[str] = []

    class Note(grpc.AuthMetadataPlugin):
        def __call__(self, context: Any, callback: Any) -> None:
            authorities.append(context.service_url)
            callback((), None)

    authority = trustme.CA()
    server = authority.issue_cert("svc")
    pair = (server.private_key_pem.bytes(), server.cert_chain_pems[0].bytes())
    backend = backends("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    add(manager, backend)
    roots = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    with secure_channel("foo/svc", roots, client) as secure:
        note = grpc.metadata_call_credentials(Note())
        assert ask(secure, credentials=note) == {backend.addr: 1}
    with (
        secure_channel("foo/svc", roots, client, authority="other") as secure,
        pytest.raises(grpc.RpcError),
    ):
        ask(secure, timeout=5)
    assert authorities == ["https://svc/test.Service"]


def test_mutual_tls_works_when_all_servers_share_one_name(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """The name in the certificate is none of the addresses of the servers."""
    ca = trustme.CA()
    server, ours = ca.issue_cert("backend.test"), ca.issue_cert("us")
    credentials = grpc.ssl_server_credentials(
        [(server.private_key_pem.bytes(), server.cert_chain_pems[0].bytes())],
        ca.cert_pem.bytes(),
        require_client_auth=True,
    )
    both = [backends("127.0.0.1:0", credentials) for _ in range(2)]
    add(manager, *both)
    mutual = grpc.ssl_channel_credentials(
        ca.cert_pem.bytes(), ours.private_key_pem.bytes(), ours.cert_chain_pems[0].bytes()
    )
    with secure_channel("foo/svc", mutual, client, authority="backend.test") as channel:
        wait_for(channel, *both)


def test_channel_raises_an_error_when_its_arguments_are_invalid(client: Client) -> None:
    """The error is raised by the constructor, not by the first call."""
    with pytest.raises(InvalidTargetError):
        insecure_channel("etcd:///", client)
    with pytest.raises(InvalidSettingError):
        insecure_channel("foo", client, policy="best")  # type: ignore[arg-type]
    with pytest.raises(InvalidSettingError):
        insecure_channel("foo", client, resync_hold=-1)
    insecure_channel("foo", client, resync_hold=0).close()
    with pytest.raises(TypeError):
        insecure_channel("foo", client, options=[("grpc.x", object())])


def test_every_call_fails_when_etcd_denies_permission(
    auth_etcd: Callable[[], Etcd], caplog: pytest.LogCaptureFixture
) -> None:
    """A call with wait_for_ready waits, because a role may be granted."""
    user, _, password = READER.partition(":")
    etcd = auth_etcd()
    with (
        Client([etcd.endpoint], user=user, password=password) as client,
        insecure_channel("secret/svc", client) as channel,
    ):
        for terms, code in (({}, UNAVAILABLE), ({"wait_for_ready": True}, DEADLINE_EXCEEDED)):
            with pytest.raises(grpc.RpcError) as caught:
                ask(channel, timeout=5 if not terms else 0.5, **terms)
            assert caught.value.code() is code
    [warning] = caplog.messages
    assert "secret/svc" in warning
    assert "permission denied" in warning


def followed() -> int:
    """Return how many targets this process follows."""
    return sum(each.name == "etcdnaming-xds" for each in threading.enumerate())


def test_channels_of_a_target_share_one_watch_until_the_last_one_ends(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch ends a while after the channels are gone, and gRPC asks for nothing any more."""
    # Seconds in which another channel to the target uses the same watch.
    assert services.LINGER == 5
    monkeypatch.setattr(services, "LINGER", 0.1)
    wait_until(lambda: not followed())  # by the tests before
    channels = [insecure_channel("foo/svc", client) for _ in range(5)]
    with insecure_channel("foo/other", client):
        assert followed() == 2
    channels.pop().close()
    stub = channels.pop().unary_unary(method("Who"))
    with pytest.raises(grpc.RpcError):
        stub(b"")  # so that gRPC asks for the endpoints
    channels.clear()
    wait_until(lambda: followed() == 1)
    time.sleep(0.3)
    assert followed() == 1  # the stub is still there
    del stub
    wait_until(lambda: not followed())


def test_hundred_targets_of_a_client_use_one_watch_stream(etcd: Etcd, backends: Backends) -> None:
    """The stream carries the changes of every target."""
    backend = backends()
    names = [f"foo/svc{n}" for n in range(100)]
    with (
        Relay(etcd.endpoint) as relay,
        Client([relay.endpoint]) as client,
        ExitStack() as stack,
    ):
        channels = [stack.enter_context(insecure_channel(each, client)) for each in names]
        wait_until(lambda: all(channel.age == 0 for channel in channels), timeout=30)
        stored = f'{{"Op":0,"Addr":"{backend.addr}"}}'.encode()
        etcd.put_all({f"{each}/e1".encode(): stored for each in names})
        wait_until(lambda: all(channel.endpoints for channel in channels), timeout=30)
        assert ask(channels[99], wait_for_ready=True) == {backend.addr: 1}
        assert relay.streams == 1


def _is_ours(thread: threading.Thread) -> bool:
    return thread.name.startswith("etcdnaming-")


def test_closed_channel_cancels_its_calls(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """Calls on servers that were removed end, too, and a new call raises ValueError."""
    waiting = channel.unary_unary(method("Who")).future(b"", wait_for_ready=True)
    old, new = backends(), backends()
    add(manager, old)
    assert waiting.result(10)
    before = channel.unary_stream(method("Count"))(b"1000 0.01")
    next(before)
    add(manager, new)
    remove(manager, old)
    wait_for(channel, new)
    after = channel.unary_unary(method("Slow")).future(b"5")
    channel.close()
    assert after.code() is grpc.StatusCode.CANCELLED
    with pytest.raises(grpc.RpcError):
        list(before)
    with pytest.raises(ValueError, match="closed"):
        ask(channel)


def test_waiting_call_is_cancelled_when_the_channel_is_closed(channel: Channel) -> None:
    """A call that is made after that raises ValueError."""
    who = channel.unary_unary(method("Who"))
    ended: list[grpc.RpcError] = []

    def wait() -> None:
        with pytest.raises(grpc.RpcError) as caught:
            who(b"", wait_for_ready=True)
        ended.append(caught.value)

    thread = threading.Thread(target=wait)
    thread.start()
    stream: Any = channel.unary_stream(method("Count"))(b"3", wait_for_ready=True)
    assert not stream.done()
    channel.close()
    thread.join()
    assert [each.code() for each in (*ended, stream)] == [grpc.StatusCode.CANCELLED] * 2
    with pytest.raises(grpc.RpcError):
        next(stream)
    with pytest.raises(ValueError, match="closed"):
        who(b"", wait_for_ready=True)
    channel.close()


def test_calls_finish_when_their_channel_is_no_longer_referenced(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """After them, no thread is left."""
    before = set(threading.enumerate())
    add(manager, backends())
    channel = insecure_channel("foo/svc", client)
    stream = channel.unary_stream(method("Count"))(b"20 0.05")
    future = channel.unary_unary(method("Slow")).future(b"0.5")
    assert next(stream) == b"0"
    del channel
    gc.collect()
    assert len(list(stream)) == 19
    assert future.result(10)
    wait_until(lambda: not any(map(_is_ours, set(threading.enumerate()) - before)))


PROGRAM = """
import sys
from etcdnaming import Client, insecure_channel
client = Client([sys.argv[1]])
channel = insecure_channel("foo/svc", client)
channel.subscribe(lambda state: None, try_to_connect=True)
stream = channel.unary_stream("/test.Service/Count")(b"1000 0.01")
next(stream)
future = channel.unary_unary("/test.Service/Slow").future(b"9")
empty = insecure_channel("foo/empty", client).unary_unary("/test.Service/Who")
waiting = empty.future(b"", wait_for_ready=True)
"""


def test_program_exits_silently_while_calls_are_in_flight(
    etcd: Etcd, manager: EndpointManager, backends: Backends
) -> None:
    """The program exits soon, with status 0 and nothing on stderr."""
    add(manager, backends())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, etcd.endpoint],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_channel_reports_its_endpoints_with_metadata_and_their_age(
    own_etcd: Callable[[], Etcd], backends: Backends
) -> None:
    """The age is 0 while etcd is connected, and the endpoints stay when it is not."""
    etcd, backend = own_etcd(), backends()
    with Client([etcd.endpoint]) as client, insecure_channel("foo/svc", client) as channel:
        manager = EndpointManager(client, "foo/svc")
        endpoint = Endpoint(backend.addr, {"zone": "a"})
        manager.add_endpoint("foo/svc/e1", endpoint)
        wait_until(lambda: channel.endpoints == (endpoint,))
        wait_until(lambda: channel.age == 0)
        endpoint = Endpoint(backend.addr, {"zone": "b"})
        manager.add_endpoint("foo/svc/e1", endpoint)
        wait_until(lambda: channel.endpoints == (endpoint,))
        etcd.kill()
        wait_until(lambda: channel.age, timeout=30)
        assert ask(channel, 10) == {backend.addr: 10}
        assert channel.endpoints == (endpoint,)


def test_endpoints_are_held_after_etcd_was_wiped(
    own_etcd: Callable[[], Etcd], backends: Backends
) -> None:
    """An endpoint that a resync does not find is held; a deleted one is removed immediately."""
    etcd, staying, leaving = own_etcd(), backends(), backends()
    with (
        Client([etcd.endpoint]) as client,
        insecure_channel("foo/svc", client, resync_hold=10) as channel,
    ):
        manager = EndpointManager(client, "foo/svc")
        add(manager, staying, leaving)
        wait_for(channel, staying, leaving)
        with load(channel) as outcome:
            etcd.wipe()
            wait_until(lambda: channel.age == 0, timeout=30)
            assert len(channel.endpoints) == 2
            add(manager, staying)
            wait_until(lambda: len(channel.endpoints) == 1, timeout=30)
            wait_for(channel, staying)
        assert outcome.errors == []
        remove(manager, staying)
        wait_until(lambda: not channel.endpoints, AT_ONCE)


def test_endpoint_is_held_when_a_compaction_has_hidden_its_deletion(
    etcd: Etcd, manager: EndpointManager, backends: Backends
) -> None:
    """The endpoint was deleted, but after the compaction the client can't know that."""
    staying, leaving = backends(), backends()
    add(manager, staying, leaving)
    cut = threading.Event()
    with (
        Relay(etcd.endpoint, cut_off_when(cut), passed_on) as relay,
        Client([relay.endpoint]) as client,
        insecure_channel("foo/svc", client, resync_hold=6) as channel,
    ):
        wait_for(channel, staying, leaving)
        wait_until(lambda: channel.age == 0)
        remove(manager, leaving)
        etcd.put("other", "")
        etcd.ctl("compact", str(etcd.revision()))
        with load(channel) as outcome:
            cut.set()
            wait_until(lambda: relay.streams >= 2)
            wait_until(lambda: channel.age == 0)
            assert len(channel.endpoints) == 2
            wait_until(lambda: channel.endpoints == (Endpoint(staying.addr),))
        assert outcome.errors == []


def test_replaced_connections_leave_no_thread_and_no_descriptor(
    channel: Channel, manager: EndpointManager, backends: Backends
) -> None:
    """Endpoints are added and removed twenty times."""
    first, second = backends(), backends()
    add(manager, first)
    wait_for(channel, first)
    before = _held()
    for _ in range(20):
        add(manager, second)
        wait_until(lambda: len(channel.endpoints) == 2)
        ask(channel)
        remove(manager, second)
        wait_until(lambda: len(channel.endpoints) == 1)
    gc.collect()
    wait_until(lambda: _held()[0] <= before[0] + 2 and _held()[1] <= before[1], timeout=TIMEOUT)


def _held() -> tuple[int, int]:
    ours = [each for each in threading.enumerate() if "ThreadPool" not in each.name]
    return descriptors(), len(ours)


def test_package_imports_grpc_only_when_a_name_needs_it() -> None:
    """A program with an open channel exits normally."""
    program = "import sys, etcdnaming; assert 'grpc' not in sys.modules; "
    program += "from etcdnaming import *; c = insecure_channel('a', Client(['127.0.0.1:1']))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def _batch(
    *there: str, gone: tuple[str, ...] = (), first: bool = False, resync: bool = False
) -> ChangeBatch:
    changes = [Change(Operation.ADD, key, 1, Endpoint(key), 0, None) for key in there]
    changes += [Change(Operation.DELETE, key, 1, None, 0, None) for key in gone]
    return ChangeBatch(1, changes, [], first=first, resync=resync)


def _known(cache: EndpointCache) -> tuple[Endpoint, ...]:
    return tuple(found for key in "abc" if (found := cache.get(key)))


def test_known_set_holds_endpoints_that_a_resync_misses_until_the_hold_time_ends() -> None:
    """A deleted endpoint is not held, and one that is back is no longer missing."""
    now = 100.0
    known = EndpointCache(30, clock=lambda: now)
    known.apply(_batch("a", "b", "c", first=True))
    assert known.patience() is None
    known.apply(_batch(gone=("a",)))
    known.apply(_batch(gone=("b", "c"), resync=True))
    assert _known(known) == (Endpoint("b"), Endpoint("c"))
    now += 20
    known.apply(_batch("c"))
    assert known.patience() == 10
    known.wait_anew()
    assert known.patience() == 30
    now += 30
    assert known.give_up()
    assert _known(known) == (Endpoint("c"),)
    assert not known.give_up()


def test_known_set_forgets_a_held_endpoint_when_it_is_deleted() -> None:
    """Nothing is left to give up."""
    now = 100.0
    known = EndpointCache(30, clock=lambda: now)
    known.apply(_batch("a", first=True))
    known.apply(_batch(gone=("a",), resync=True))
    assert known.missing == 1
    assert known.apply(_batch(gone=("a",))) == {"a"}
    assert (known.missing, known.patience()) == (0, None)
    now += 30
    assert not known.give_up()


def test_known_set_holds_no_longer_when_etcd_is_read_again() -> None:
    """A cluster that is read again and again would keep a missing endpoint forever."""
    now = 100.0
    known = EndpointCache(30, clock=lambda: now)
    known.apply(_batch("a", "b", first=True))
    known.apply(_batch("b", first=True))
    now += 20
    known.apply(_batch("b", first=True))
    known.apply(_batch(gone=("a",), resync=True))
    assert known.patience() == 10
    now += 10
    assert known.give_up() == {"a"}


def test_known_set_holds_endpoints_that_a_new_watch_misses() -> None:
    """The first batch of a watch names no deletions."""
    known = EndpointCache(30, clock=lambda: 0.0)
    known.apply(_batch("a", "b", first=True))
    known.apply(_batch("b", first=True))
    assert _known(known) == (Endpoint("a"), Endpoint("b"))
    assert known.patience() == 30


def test_known_set_holds_missing_endpoints_forever_when_the_hold_time_is_infinite() -> None:
    """A deleted endpoint is removed all the same."""
    known = EndpointCache(math.inf, clock=lambda: 0.0)
    known.apply(_batch("a", "b", first=True))
    known.apply(_batch(gone=("a",), resync=True))
    known.wait_anew()
    assert known.patience() is None
    assert not known.give_up()
    known.apply(_batch(gone=("b",)))
    assert _known(known) == (Endpoint("a"),)
