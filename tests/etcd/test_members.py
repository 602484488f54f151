"""Members that are down or frozen: calls use another one, and write errors state the outcome."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from harness import AT_ONCE, TIMEOUT, WRITER, Cluster, Etcd, wait_until
from harness.auth import SERVER_FLAGS, add_users
from harness.hostile import HostileProxy
from harness.programs import Programs
from harness.resources import connections

from etcdnaming.endpoints import transaction
from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.errors import (
    ConnectionFailedError,
    NotNowError,
    OutcomeUnknownError,
    RefusedError,
)
from etcdnaming.etcd import Client, members
from etcdnaming.etcd.deadline import Deadline, within
from etcdnaming.model import Endpoint, Update

ADD = [Update.add("svc/e1", Endpoint("1.2.3.4"))]
NOWHERE = "127.0.0.1:1"
DIAL, COMMAND = 2.0, 5.0


def listed(client: Client) -> list[str]:
    """Return the keys of the endpoints of svc."""
    return list(EndpointManager(client, "svc").list().by_key())


def took(call: Callable[[], object]) -> float:
    """Return how many seconds *call* takes."""
    start = time.monotonic()
    call()
    return time.monotonic() - start


def test_client_fails_within_the_dial_timeout_when_no_endpoint_is_reached() -> None:
    """The error names each endpoint with the reason."""
    with Client([NOWHERE, "no-such-host.invalid:2379"], dial_timeout=0.5) as client:
        start = time.monotonic()
        with pytest.raises(ConnectionFailedError) as refused:
            listed(client)
        assert time.monotonic() - start < 0.5 + AT_ONCE
    assert str(refused.value) == (
        "no etcd endpoint reached within 0.5s: 127.0.0.1:1: connection refused; "
        "no-such-host.invalid:2379: host name not found"
    )


def test_client_without_time_to_connect_says_so() -> None:
    """For example to revoke a lease after a deletion that was not answered."""
    with (
        Client(["127.0.0.1:1"]) as client,
        within(0),
        pytest.raises(ConnectionFailedError, match="no time was left to connect"),
    ):
        listed(client)


def test_client_skips_a_refusing_endpoint_without_delay(etcd: Etcd) -> None:
    """Ten such endpoints with a second each would exceed the limit of this test."""
    refusing = [f"127.0.0.{n}:1" for n in range(1, 11)]
    with Client([*refusing, etcd.endpoint], dial_timeout=60) as client:
        assert took(lambda: listed(client)) < AT_ONCE


def test_client_skips_a_silent_endpoint_after_a_second(etcd: Etcd) -> None:
    """The endpoint accepts connections and never answers, like a frozen process."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = f"127.0.0.1:{silent.getsockname()[1]}"
        with Client([name, etcd.endpoint], dial_timeout=60) as client:
            assert 0.9 < took(lambda: listed(client)) < 1 + AT_ONCE


def test_client_waits_for_a_silent_endpoint_also_after_another_has_refused(
    own_etcd: Callable[..., Etcd], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a member that is down would make each client connect to all others."""
    assert members.NEXT_AFTER == 1
    monkeypatch.setattr(members, "NEXT_AFTER", 60.0)
    etcd = own_etcd()
    etcd.freeze()
    thawing = threading.Timer(0.5, etcd.thaw)
    thawing.start()
    with socket.create_server(("127.0.0.1", 0)) as third:
        name = f"127.0.0.1:{third.getsockname()[1]}"
        with Client([NOWHERE, etcd.endpoint, name], dial_timeout=60) as client:
            assert listed(client) == []
        third.setblocking(False)
        with pytest.raises(BlockingIOError):
            third.accept()
    thawing.join()


def test_client_waits_for_an_etcd_that_starts_within_the_dial_timeout(
    own_etcd: Callable[..., Etcd],
) -> None:
    """A restart of etcd causes no error."""
    etcd = own_etcd()
    etcd.stop()
    starting = threading.Timer(0.3, etcd.start)
    starting.start()
    with Client([etcd.endpoint], dial_timeout=10) as client:
        assert listed(client) == []
    starting.join()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_new_client_works_when_one_of_three_members_is_down(
    cluster: Cluster, sign: signal.Signals
) -> None:
    """The member is killed or frozen, and is the first on the list."""
    member = cluster.members[0]
    member.kill() if sign is signal.SIGKILL else member.freeze()
    cluster.leader()  # writes have an unknown outcome while the others still follow a dead leader
    endpoints = [each.endpoint for each in cluster.members]

    def add_and_list() -> None:
        with Client(endpoints) as client:
            transaction.update(client, ADD)
            assert listed(client) == ["svc/e1"]

    assert took(add_and_list) < DIAL + COMMAND + AT_ONCE


@pytest.mark.parametrize("leads", [True, False])
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_connected_client_continues_reading_when_its_member_is_down(
    cluster: Cluster, sign: signal.Signals, leads: bool
) -> None:
    """A frozen member keeps the connection open, but never answers."""
    member = cluster.leader() if leads else cluster.followers()[0]
    others = [each for each in cluster.members if each is not member]
    with Client([member.endpoint, *(each.endpoint for each in others)]) as client:
        transaction.update(client, ADD)
        member.kill() if sign is signal.SIGKILL else member.freeze()
        assert took(lambda: listed(client)) < DIAL + COMMAND + AT_ONCE
        cluster.leader()
        transaction.update(client, ADD)


def test_write_has_an_unknown_outcome_when_its_member_is_frozen(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The member may apply the write when it continues, so the write is not repeated."""
    etcd = own_etcd()
    with Client([etcd.endpoint], command_timeout=1) as client:
        transaction.update(client, ADD)
        etcd.freeze()
        with pytest.raises(OutcomeUnknownError, match="may have been applied") as unknown:
            transaction.update(client, ADD)
        assert str(unknown.value).startswith(f"{etcd.endpoint}: no answer in time")
        etcd.thaw()
        listed(client)
    assert etcd.entry("svc/e1").version in {1, 2}


def test_write_has_an_unknown_outcome_when_its_connection_breaks(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The member received the request and was killed."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client:
        transaction.update(client, ADD)
        etcd.freeze()

        def kill_when_asked() -> None:
            wait_until(lambda: unread(etcd.port) > 100)  # more than a ping
            etcd.kill()

        dying = threading.Thread(target=kill_when_asked)
        dying.start()
        with pytest.raises(OutcomeUnknownError, match="connection lost"):
            transaction.update(client, ADD)
        dying.join()


def test_restart_between_two_writes_causes_no_error(
    own_etcd: Callable[..., Etcd],
) -> None:
    """No write was pending during a restart, so every outcome is known."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client:
        for _ in range(3):
            transaction.update(client, ADD)
            etcd.stop()
            etcd.start()
    assert etcd.entry("svc/e1").version == 3


def test_read_and_write_fail_within_their_timeouts_without_a_majority(cluster: Cluster) -> None:
    """The member answers, but has no quorum."""
    first, second, third = cluster.members
    with Client([first.endpoint]) as client:
        transaction.update(client, ADD)
        second.freeze()
        third.freeze()
        start = time.monotonic()
        with pytest.raises((OutcomeUnknownError, NotNowError)):
            transaction.update(client, ADD)
        with pytest.raises(NotNowError):
            listed(client)
        assert time.monotonic() - start < 2 * (DIAL + COMMAND + AT_ONCE)


def test_member_without_a_leader_is_left_at_once(cluster: Cluster, etcd: Etcd) -> None:
    """It would keep a write until its time is over, and the outcome would be unknown."""
    alone = cluster.isolate()
    with Client([alone.endpoint, etcd.endpoint], command_timeout=60) as client:
        assert took(lambda: transaction.update(client, ADD)) < AT_ONCE
    assert etcd.entry("svc/e1").version == 1


def test_nothing_is_applied_when_no_member_has_a_leader(cluster: Cluster) -> None:
    """So the error does not say that the change may have been applied."""
    alone = cluster.isolate()
    with Client([alone.endpoint], command_timeout=1) as client:
        for call in (lambda: transaction.update(client, ADD), lambda: listed(client)):
            with pytest.raises(NotNowError, match="etcdserver: no leader"):
                call()
        assert client.status().errors == ["etcdserver: no leader"]


def test_login_is_made_elsewhere_when_a_member_has_no_leader_and_its_status_needs_none(
    programs: Programs, auth_etcd: Callable[..., Etcd]
) -> None:
    """A login is made elsewhere; the member would keep it until its time is over."""
    name, _, password = WRITER.partition(":")
    with closing(Cluster(programs, *SERVER_FLAGS)) as cluster:
        cluster.start()
        add_users(cluster)
        alone = cluster.isolate()
        endpoints = [alone.endpoint, auth_etcd().endpoint]
        with Client(endpoints, user=name, password=password, command_timeout=60) as client:
            assert took(lambda: listed(client)) < AT_ONCE
        with Client([alone.endpoint], user=name, password=password) as client:
            assert client.status().errors == ["etcdserver: no leader"]


def test_http_proxy_is_ignored(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    """etcd is not behind an HTTP proxy, although many machines have these variables set."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://{NOWHERE}")
    with Client([etcd.endpoint]) as client:
        assert listed(client) == []


def test_client_connects_to_a_host_name_an_ipv6_address_and_a_socket(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The notations are those of etcdctl."""
    etcd = own_etcd()
    etcd.stop()
    # Older releases of etcd require a socket's path that looks like host:port.
    urls = f"http://127.0.0.1:{etcd.port},http://[::1]:{etcd.port},unix://etcd.sock:0"
    etcd.server_flags = (f"--listen-client-urls={urls}",)
    etcd.start()
    for endpoint, local in (
        (f"localhost:{etcd.port}", {"127.0.0.1", "::1"}),
        (f"[::1]:{etcd.port}", {"::1"}),
        (f"http://[::1]:{etcd.port}", {"::1"}),
        (f"unix://{etcd.directory}/etcd.sock:0", {""}),
    ):
        with Client([endpoint]) as client:
            assert listed(client) == [], endpoint
            assert client.local_address() in local


def test_local_address_is_the_one_that_reaches_etcd(etcd: Etcd) -> None:
    """The address of this machine completes ``--addr :50051``."""
    with Client([etcd.endpoint]) as client:
        assert client.local_address() == "127.0.0.1"


def test_closed_client_reports_that_it_is_closed(etcd: Etcd) -> None:
    """The error does not suggest that etcd is down."""
    client = Client([etcd.endpoint])
    listed(client)
    client.close()
    with pytest.raises(ConnectionFailedError, match="the client is closed"):
        listed(client)


def test_client_close_does_not_wait_for_a_connection_attempt() -> None:
    """A waiting caller gets the error immediately."""
    client = Client([NOWHERE], dial_timeout=600)
    refused: list[Exception] = []

    def ask() -> None:
        try:
            listed(client)
        except ConnectionFailedError as exc:
            refused.append(exc)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()

    assert took(client.close) < AT_ONCE
    thread.join(AT_ONCE)
    assert [str(exc) for exc in refused] == ["the client is closed"]


def test_threads_of_a_client_share_one_connection(own_etcd: Callable[..., Etcd]) -> None:
    """The client connects to the member once."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client:
        threads = [threading.Thread(target=listed, args=(client,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert connections(etcd.port) == 1


def unread(port: int) -> int:
    """Return the largest number of unread bytes in a connection of the server at *port*."""
    return max((int(row[4].partition(":")[2], 16) for row in established(port)), default=0)


def established(port: int) -> list[list[str]]:
    """Return the rows of /proc/net/tcp for established connections of the server at *port*."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return [row for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"]


def test_late_failure_of_a_member_does_not_leave_the_next_one(cluster: Cluster) -> None:
    """A call that began on the old member may fail after others have changed to the new one."""
    with Client([each.endpoint for each in cluster.members]) as client:
        members = client._members
        old = members.current(Deadline(TIMEOUT))
        members.leave(old)
        new = members.current(Deadline(TIMEOUT))
        members.leave(old)
        assert members.current(Deadline(TIMEOUT)) is new
        assert new.name != old.name


@pytest.mark.parametrize("reason", ["no leader", "leader changed", "too many requests"])
def test_call_is_repeated_on_another_member_when_one_cant_answer_now(
    etcd: Etcd, reason: str
) -> None:
    """Neither is the first member asked again, nor is the time of the call used up."""
    with HostileProxy(etcd.endpoint) as bad, HostileProxy(etcd.endpoint) as good:
        bad.excuses["Range"] = bad.excuses["Txn"] = f"etcdserver: {reason}"
        with Client([bad.endpoint, good.endpoint], command_timeout=20) as client:
            begin = time.monotonic()
            transaction.update(client, ADD)
            assert listed(client) == ["svc/e1"]
            assert time.monotonic() - begin < AT_ONCE
        assert len(bad.remaining["Txn"]) == 1
        assert not bad.remaining["Range"]


def test_call_is_repeated_after_pauses_when_there_is_no_other_member(etcd: Etcd) -> None:
    """A busy etcd is not asked in a loop: the pauses are 0.1 s on average."""
    with HostileProxy(etcd.endpoint) as busy:
        busy.excuses["Range"] = "etcdserver: too many requests"
        with Client([busy.endpoint], dial_timeout=1, command_timeout=1) as client:
            with pytest.raises(RefusedError, match="too many requests"):
                listed(client)
            assert 2 <= len(busy.remaining["Range"]) < 100


def test_read_leaves_half_of_its_time_for_another_member(etcd: Etcd) -> None:
    """A write, which is sent once, and a read from the only member have all of it."""
    with HostileProxy(etcd.endpoint) as first, HostileProxy(etcd.endpoint) as second:
        for others, share in (([second.endpoint], 0.5), ([], 1.0)):
            first.remaining.clear()
            endpoints = [first.endpoint, *others]
            with Client(endpoints, dial_timeout=100, command_timeout=100) as client:
                transaction.update(client, ADD)
                assert listed(client) == ["svc/e1"]
            assert 90 < first.remaining["Txn"][0] <= 101
            assert 100 * share - 10 < first.remaining["Range"][0] <= 100 * share + 1


def test_connection_has_the_options_that_etcd_and_frozen_members_need(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each stands for an outage: a member that freezes, large answers, proxies, idle watches."""
    given: list[dict[str, Any]] = []
    make = grpc.insecure_channel

    def connect(target: str, options: Any = None, **named: Any) -> grpc.Channel:
        given.append(dict(options))
        return make(target, options, **named)

    monkeypatch.setattr(grpc, "insecure_channel", connect)
    often = Client([etcd.endpoint], keepalive_time=1, keepalive_timeout=9)
    for client in (Client([etcd.endpoint]), often):
        with client:
            listed(client)
    first, second = given
    assert (
        first.items()
        >= {
            "grpc.enable_http_proxy": 0,
            "grpc.max_receive_message_length": -1,
            "grpc.max_send_message_length": -1,
            "grpc.use_local_subchannel_pool": 1,
            "grpc.initial_reconnect_backoff_ms": 100,
            "grpc.max_reconnect_backoff_ms": 500,
            "grpc.http2.max_pings_without_data": 0,
            "grpc.keepalive_time_ms": 6000,
            "grpc.keepalive_timeout_ms": 6000,
            "grpc.http2.ping_timeout_ms": 6000,
        }.items()
    )
    # etcd disconnects clients that ping more often.
    assert second["grpc.keepalive_time_ms"] == 6000
    assert second["grpc.keepalive_timeout_ms"] == second["grpc.http2.ping_timeout_ms"] == 9000
