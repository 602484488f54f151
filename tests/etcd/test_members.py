"""Members that are away, frozen or dead: calls go on elsewhere, writes say what became of them."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import AT_ONCE, Cluster, Etcd, wait_until
from harness.resources import connections

from etcdnaming.endpoints import transaction
from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.errors import ConnectionFailedError, OutcomeUnknownError
from etcdnaming.etcd import Client
from etcdnaming.model import Endpoint, Update

ADD = [Update.add("svc/e1", Endpoint("1.2.3.4"))]
NOWHERE = "127.0.0.1:1"
DIAL, COMMAND = 2.0, 5.0


def listed(client: Client) -> list[str]:
    """Return the keys there are."""
    return list(EndpointManager(client, "svc").list().by_key())


def took(call: Callable[[], object]) -> float:
    """Return how many seconds *call* takes."""
    start = time.monotonic()
    call()
    return time.monotonic() - start


def test_no_etcd_is_told_within_the_dial_timeout_naming_what_was_tried() -> None:
    """Each endpoint with its reason."""
    with Client([NOWHERE, "no-such-host.invalid:2379"], dial_timeout=0.5) as client:
        start = time.monotonic()
        with pytest.raises(ConnectionFailedError) as refused:
            listed(client)
        assert time.monotonic() - start < 0.5 + AT_ONCE
    assert str(refused.value) == (
        "no etcd endpoint reached within 0.5s: 127.0.0.1:1: connection refused; "
        "no-such-host.invalid:2379: host name not found"
    )


def test_an_endpoint_that_refuses_costs_nothing(etcd: Etcd) -> None:
    """The next one is tried at once: ten that took a second each would show."""
    refusing = [f"127.0.0.{n}:1" for n in range(1, 11)]
    with Client([*refusing, etcd.endpoint], dial_timeout=60) as client:
        assert took(lambda: listed(client)) < AT_ONCE


def test_an_endpoint_that_is_silent_costs_a_second(etcd: Etcd) -> None:
    """It accepts, and never says a word: a frozen process looks like this."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = f"127.0.0.1:{silent.getsockname()[1]}"
        with Client([name, etcd.endpoint], dial_timeout=60) as client:
            assert 0.9 < took(lambda: listed(client)) < 1 + AT_ONCE


def test_an_etcd_that_starts_within_the_dial_timeout_is_found(
    own_etcd: Callable[..., Etcd],
) -> None:
    """A restart is no reason to fail."""
    etcd = own_etcd()
    etcd.stop()
    starting = threading.Timer(0.3, etcd.start)
    starting.start()
    with Client([etcd.endpoint], dial_timeout=10) as client:
        assert listed(client) == []
    starting.join()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_a_new_client_gets_by_without_one_member_of_three(
    cluster: Cluster, sign: signal.Signals
) -> None:
    """Killed or frozen, and the first on the list."""
    member = cluster.members[0]
    member.kill() if sign is signal.SIGKILL else member.freeze()
    cluster.leader()  # while the others still believe in a dead one, writes have no fate
    endpoints = [each.endpoint for each in cluster.members]

    def add_and_list() -> None:
        with Client(endpoints) as client:
            transaction.update(client, ADD)
            assert listed(client) == ["svc/e1"]

    assert took(add_and_list) < DIAL + COMMAND + AT_ONCE


@pytest.mark.parametrize("leads", [True, False])
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_a_client_at_work_reads_on_when_its_member_goes(
    cluster: Cluster, sign: signal.Signals, leads: bool
) -> None:
    """A frozen member keeps its connection, and answers nothing."""
    member = cluster.leader() if leads else cluster.followers()[0]
    others = [each for each in cluster.members if each is not member]
    with Client([member.endpoint, *(each.endpoint for each in others)]) as client:
        transaction.update(client, ADD)
        member.kill() if sign is signal.SIGKILL else member.freeze()
        assert took(lambda: listed(client)) < DIAL + COMMAND + AT_ONCE
        cluster.leader()
        transaction.update(client, ADD)


def test_a_write_that_a_frozen_member_took_may_have_been_applied(
    own_etcd: Callable[..., Etcd],
) -> None:
    """When the member wakes up it applies what it has, or not; it is not sent again."""
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


def test_a_write_on_a_connection_that_breaks_may_have_been_applied(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The member took it, and died."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client:
        transaction.update(client, ADD)
        etcd.freeze()

        def kill_when_asked() -> None:
            wait_until(lambda: unread(etcd.port) > 100)  # longer than a ping
            etcd.kill()

        dying = threading.Thread(target=kill_when_asked)
        dying.start()
        with pytest.raises(OutcomeUnknownError, match="connection lost"):
            transaction.update(client, ADD)
        dying.join()


def test_a_restart_between_two_writes_is_not_noticed(
    own_etcd: Callable[..., Etcd],
) -> None:
    """Nothing was under way, so nothing is unknown."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client:
        for _ in range(3):
            transaction.update(client, ADD)
            etcd.stop()
            etcd.start()
    assert etcd.entry("svc/e1").version == 3


def test_without_a_majority_a_read_and_a_write_end_in_time(cluster: Cluster) -> None:
    """The member answers, but has no quorum."""
    first, second, third = cluster.members
    with Client([first.endpoint]) as client:
        transaction.update(client, ADD)
        second.freeze()
        third.freeze()
        start = time.monotonic()
        with pytest.raises((OutcomeUnknownError, ConnectionFailedError)):
            transaction.update(client, ADD)
        with pytest.raises(ConnectionFailedError):
            listed(client)
        assert time.monotonic() - start < 2 * (DIAL + COMMAND + AT_ONCE)


def test_http_proxy_is_ignored(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    """etcd is never behind one, and the variable is set in half of all companies."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://{NOWHERE}")
    with Client([etcd.endpoint]) as client:
        assert listed(client) == []


def test_a_name_an_ipv6_address_and_a_socket_are_endpoints_too(
    own_etcd: Callable[..., Etcd],
) -> None:
    """As etcdctl takes them."""
    etcd = own_etcd()
    etcd.stop()
    # Older etcd wants a socket's path to look like host:port.
    urls = f"http://127.0.0.1:{etcd.port},http://[::1]:{etcd.port},unix://etcd.sock:0"
    etcd.server_flags = (f"--listen-client-urls={urls}",)
    etcd.start()
    for endpoint in (
        f"localhost:{etcd.port}",
        f"[::1]:{etcd.port}",
        f"http://[::1]:{etcd.port}",
        f"unix://{etcd.directory}/etcd.sock:0",
    ):
        with Client([endpoint]) as client:
            assert listed(client) == [], endpoint


def test_our_own_address_is_the_one_that_reaches_etcd(etcd: Etcd) -> None:
    """What ``--addr :50051`` is completed with."""
    with Client([etcd.endpoint]) as client:
        assert client.local_address() == "127.0.0.1"


def test_a_closed_client_says_so(etcd: Etcd) -> None:
    """And not that etcd is away."""
    client = Client([etcd.endpoint])
    listed(client)
    client.close()
    with pytest.raises(ConnectionFailedError, match="the client is closed"):
        listed(client)


def test_closing_does_not_wait_for_a_dial() -> None:
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


def test_many_threads_share_one_connection(own_etcd: Callable[..., Etcd]) -> None:
    """The member is dialled once."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client:
        threads = [threading.Thread(target=listed, args=(client,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert connections(etcd.port) == 1


def unread(port: int) -> int:
    """Return the most bytes that the server at *port* has not read of a connection."""
    return max((int(row[4].partition(":")[2], 16) for row in established(port)), default=0)


def established(port: int) -> list[list[str]]:
    """Return the rows of /proc/net/tcp for connections that the server at *port* has."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return [row for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"]
