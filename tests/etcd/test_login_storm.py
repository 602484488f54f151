"""Logins on a slow etcd: how many are started, and what happens to their callers."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from harness import AT_ONCE, WRITER, Etcd, wait_until
from harness.logins import LoginServer, begun, busy, token

from etcdnaming import Client, Endpoint, EndpointManager, Registration
from etcdnaming.errors import (
    AuthenticationError,
    ClientClosedError,
    ConnectionFailedError,
    EtcdError,
    RefusedError,
)
from etcdnaming.etcd import login, within
from etcdnaming.etcd.threads import start_thread

USER, _, PASSWORD = WRITER.partition(":")


def client_of(*endpoints: str, dial: float = 1.0, command: float = 0.5) -> Client:
    """Return a client of `WRITER` with short timeouts."""
    return Client(
        endpoints, user=USER, password=PASSWORD, dial_timeout=dial, command_timeout=command
    )


def listed(client: Client) -> list[str]:
    """Return the keys of a target that has no endpoints."""
    return [each.key for each in EndpointManager(client, "svc").list().endpoints]


def reaches(client: Client) -> bool:
    """Return whether a connection is there, which takes its time on a busy machine."""
    with suppress(ConnectionFailedError):
        return bool(client.local_address())
    return False


def lists(client: Client) -> bool:
    """Return whether a call of *client* succeeds."""
    with suppress(ConnectionFailedError):
        return listed(client) == []
    return False


def in_threads(number: int, work: Callable[[], object]) -> list[EtcdError]:
    """Run *work* in *number* threads at the same time, and return the errors."""
    errors: list[EtcdError] = []

    def run() -> None:
        try:
            work()
        except EtcdError as exc:
            errors.append(exc)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


@contextmanager
def connected(etcd: Etcd, number: int) -> Iterator[list[Client]]:
    """Yield *number* clients of *etcd* that are connected, but have no token yet."""
    with ExitStack() as stack:
        clients = [stack.enter_context(client_of(etcd.endpoint)) for _ in range(number)]
        for client in clients:
            client.local_address()
        yield clients


@pytest.mark.server
def test_login_is_started_once_when_etcd_answers_after_its_callers_failed(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """Threads of several clients call repeatedly; one late answer serves all calls of a client."""
    etcd = auth_etcd()
    with connected(etcd, 5) as clients:
        before = begun(etcd)
        etcd.freeze()
        errors = []
        for _ in range(2):
            work = [client for client in clients for _ in range(3)]
            errors += in_threads(len(work), lambda work=work: listed(work.pop()))  # type: ignore[misc]
        etcd.thaw()
        for client in clients:
            wait_until(lambda client=client: lists(client), timeout=30)  # type: ignore[misc]
        assert begun(etcd) - before == len(clients)
    assert [str(each) for each in errors] == 30 * [
        f"{etcd.endpoint}: login not answered within 1.5s"
    ]


@pytest.mark.long
def test_login_continues_when_keepalive_pings_are_not_answered(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """An etcd that hashes passwords answers no pings, which by default close the connection."""
    etcd = auth_etcd()
    with connected(etcd, 1) as [client]:
        before = begun(etcd)
        etcd.freeze()
        for _ in range(10):
            with pytest.raises(ConnectionFailedError, match="login not answered"):
                listed(client)
        etcd.thaw()
        wait_until(lambda: lists(client), timeout=30)
        assert begun(etcd) - before == 1


@pytest.mark.server
def test_login_is_started_on_a_second_member_when_the_first_is_slow(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """The first login is not cancelled, because its answer would count, too."""
    etcd = auth_etcd()
    before = begun(etcd)
    with (
        LoginServer(token("late")) as slow,
        client_of(slow.endpoint, etcd.endpoint, command=4) as client,
    ):
        assert listed(client) == []
        slow.released.set()
        assert (slow.begun, begun(etcd) - before, slow.given_up) == (1, 1, 0)


@pytest.mark.server
def test_login_waits_for_the_first_member_when_there_is_no_other(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """The second endpoint refuses connections."""
    etcd = auth_etcd()
    with client_of(etcd.endpoint, "127.0.0.1:1", command=2) as client:
        client.local_address()
        before = begun(etcd)
        etcd.freeze()
        thawing = threading.Timer(2, etcd.thaw)
        thawing.start()
        wait_until(lambda: lists(client), timeout=30)
        thawing.join()
        assert begun(etcd) - before == 1


def test_login_backs_off_when_etcd_is_too_busy() -> None:
    """Each pause may be twice as long as the previous one."""
    with LoginServer(busy) as server, client_of(server.endpoint, command=2) as client:
        server.released.set()
        start, begin = time.monotonic(), time.thread_time()
        with pytest.raises(RefusedError, match="too many requests"):
            listed(client)
        assert time.monotonic() - start < 30
        assert time.thread_time() - begin < 0.1  # it sleeps in the pauses
        assert 2 <= server.begun <= 12


def test_call_fails_with_the_last_error_when_no_login_can_start_before_its_deadline() -> None:
    """No login is started that would exceed the deadline of the call."""
    with LoginServer(busy) as server, client_of(server.endpoint, command=2) as client:
        server.released.set()
        wait_until(lambda: reaches(client))
        begun_before, reason = -1, ""
        # Until the pause is longer than the timeout of a call, and no login of an earlier call is
        # under way any more.
        while server.begun != begun_before or "too many requests" not in reason:
            begun_before = server.begun
            with pytest.raises((RefusedError, ConnectionFailedError)) as failure:
                listed(client)
            reason = str(failure.value)
        assert server.begun <= 20


@pytest.mark.server
def test_refused_password_fails_immediately_and_is_not_sent_with_every_call(
    auth_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """A new password in the file is sent."""
    etcd = auth_etcd()
    file = tmp_path / "password"
    file.write_text("wrong")
    before = begun(etcd)
    with Client([etcd.endpoint], user=USER, password_file=str(file)) as client:
        for _ in range(5):
            errors = in_threads(4, lambda: listed(client))
            assert [type(each) for each in errors] == [AuthenticationError] * 4
        assert 1 <= begun(etcd) - before <= 3
        file.write_text(PASSWORD)
        assert listed(client) == []


def test_refused_login_is_started_once_when_twenty_threads_wait_for_it() -> None:
    """All of them get its result."""

    def refuse(context: grpc.ServicerContext) -> str:
        reason = "etcdserver: authentication failed, invalid user ID or password"
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, reason)
        raise AssertionError

    with LoginServer(refuse) as server, client_of(server.endpoint, command=30) as client:
        client.local_address()
        threading.Timer(0.5, server.released.set).start()
        errors = in_threads(20, lambda: listed(client))
        assert [type(each) for each in errors] == [AuthenticationError] * 20
        assert server.begun == 1


def test_calls_end_with_a_login_that_reaches_no_member() -> None:
    """None of those that wait for it begins another one, though they have time left."""
    with client_of("127.0.0.1:1", dial=0.5, command=20) as client:
        start = time.monotonic()
        errors = in_threads(3, lambda: listed(client))
        assert time.monotonic() - start < AT_ONCE
    assert [type(each) for each in errors] == [ConnectionFailedError] * 3


def test_login_moves_to_another_member_when_one_fails(etcd: Etcd) -> None:
    """The other one asks for no login, which is an answer, too."""

    def fail(context: grpc.ServicerContext) -> str:
        context.abort(grpc.StatusCode.INTERNAL, "broken")
        raise AssertionError

    with LoginServer(fail) as server, client_of(server.endpoint, etcd.endpoint, dial=60) as client:
        server.released.set()
        assert listed(client) == []
        assert server.begun == 1


def test_call_begins_one_login_and_none_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread for each look at the time would leave no room for anything else."""
    begun_by = list[str]()

    def started(run: Callable[[], object], name: str) -> None:
        begun_by.append(name)
        if len(begun_by) > 1:
            raise ConnectionFailedError("another login is begun")
        start_thread(run, name)

    monkeypatch.setattr(login, "start_thread", started)
    with (
        LoginServer(token("late")) as server,
        client_of(server.endpoint, command=60) as client,
        within(2),
        pytest.raises(ConnectionFailedError, match="login not answered"),
    ):
        listed(client)
    assert begun_by == ["etcdnaming-login"]


def test_call_that_waits_briefly_for_a_login_names_its_time() -> None:
    """It is not rounded to 0 s."""
    with LoginServer(token("late")) as server, client_of(server.endpoint, command=60) as client:
        for seconds in (1, 0.04):  # the first call begins the login
            wanted = f"login not answered within {seconds}s"
            with within(seconds), pytest.raises(ConnectionFailedError, match=wanted):
                listed(client)


def test_call_ends_in_time_while_its_login_looks_for_a_member() -> None:
    """The endpoint accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = f"127.0.0.1:{silent.getsockname()[1]}"
        with (
            client_of(name, dial=60) as client,
            within(0.3),
            pytest.raises(ConnectionFailedError, match="no etcd endpoint reached in time"),
        ):
            listed(client)


def test_close_ends_calls_that_wait_for_a_login() -> None:
    """The calls end immediately, however long the login takes."""
    with LoginServer(token("late")) as server:
        client = client_of(server.endpoint, command=60)
        closing = threading.Timer(0.2, client.close)
        closing.start()
        with pytest.raises(ClientClosedError):
            listed(client)
        closing.join()


def test_login_fails_when_its_token_cant_be_sent() -> None:
    """Otherwise every later call would fail with "connection lost: Invalid metadata"."""
    with LoginServer(token("two\nlines")) as server, client_of(server.endpoint) as client:
        server.released.set()
        with pytest.raises(RefusedError, match="a token that can't be sent"):
            listed(client)
        assert server.begun == 1


class Throttle:
    """
    Limit *etcd* to a *share* of a core: when it has used it, it stands still until a period ends.

    Its CPU time counts: on a busy machine it may get none in a share of the time.
    """

    PERIOD = 0.05

    def __init__(self, etcd: Etcd, share: float) -> None:
        self._pid, self._share = etcd.pid, share
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.is_set():
            end, most = time.monotonic() + self.PERIOD, self._used() + self.PERIOD * self._share
            while time.monotonic() < end and self._used() < most:
                time.sleep(0.002)
            if (rest := end - time.monotonic()) > 0:
                os.kill(self._pid, signal.SIGSTOP)
                time.sleep(rest)
                os.kill(self._pid, signal.SIGCONT)

    def _used(self) -> float:
        """Return the CPU time in seconds; the kernel counts the nanoseconds of each thread."""
        nanoseconds = 0
        for each in Path(f"/proc/{self._pid}/task").glob("*/schedstat"):
            with suppress(OSError):  # the thread has ended
                nanoseconds += int(each.read_text().split()[0])
        return nanoseconds / 1e9

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_eighty_clients_recover_when_etcd_has_a_fifth_of_a_core(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """etcd has lost their tokens, and hashing a password takes 70 ms of a core, as by default."""
    etcd = auth_etcd("--bcrypt-cost=10")
    with ExitStack() as stack:
        clients = [
            stack.enter_context(Client([etcd.endpoint], user=USER, password=PASSWORD))
            for _ in range(80)
        ]
        registrations = [
            stack.enter_context(Registration(client, {f"svc/e{n}": Endpoint(f"10.0.0.1:{n}")}))
            for n, client in enumerate(clients)
        ]
        etcd.kill()
        wait_until(lambda: not any(each.registered for each in registrations), timeout=60)
        etcd.start()
        with Throttle(etcd, 0.2):
            wait_until(lambda: all(each.registered for each in registrations), timeout=300)
        assert begun(etcd) <= 80 * 2
