"""A watch and etcd's users: an old token is renewed, a missing right is final."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import AT_ONCE, READER, ROOT, TIMEOUT, Etcd
from harness.relay import Relay, cut_off_when, passed_on, refused
from harness.watcher import Watcher, put

from etcdnaming.endpoints.watch import Watch
from etcdnaming.errors import AuthenticationError, PermissionDeniedError
from etcdnaming.etcd import Client, range_watch_loop

pytestmark = pytest.mark.server


def client_of(endpoint: str, user: str) -> Client:
    """Return a client of *user*, ``name:password``."""
    name, _, password = user.partition(":")
    return Client([endpoint], user=name, password=password)


@contextmanager
def watching(endpoint: str, user: str = READER) -> Iterator[Watcher]:
    """Follow ``svc`` as *user*."""
    with client_of(endpoint, user) as client, Watcher(client) as watcher:
        yield watcher.wait_until_connected()


def test_a_restart_that_forgets_all_tokens_costs_no_change(auth_etcd: Callable[..., Etcd]) -> None:
    """The login is made again."""
    etcd = auth_etcd()
    with watching(etcd.endpoint) as watcher:
        put(etcd, e1="1")
        etcd.kill()
        etcd.start()
        put(etcd, e2="2")
        watcher.wait_for_addresses(e1="1", e2="2")


def test_a_token_that_expires_ends_nothing(auth_etcd: Callable[..., Etcd]) -> None:
    """Neither the stream that stands, nor the next one."""
    etcd = auth_etcd("--auth-token-ttl=1")
    cut = threading.Event()
    with (
        Relay(etcd.endpoint, cut_off_when(cut), passed_on) as relay,
        watching(relay.endpoint) as watcher,
    ):
        time.sleep(3)  # so long that it has expired
        put(etcd, e1="1")
        cut.set()
        watcher.wait_for_addresses(e1="1")
        time.sleep(3)
        put(etcd, e2="2")
        watcher.wait_for_addresses(e1="1", e2="2")


@pytest.mark.parametrize("watch_id", [0, -1], ids=["etcd", "proxy"])
def test_a_refusal_may_mean_an_old_token_but_only_once(
    auth_etcd: Callable[..., Etcd], watch_id: int
) -> None:
    """etcd and its proxy say "created" and "canceled" in one, under whatever id."""
    denied = refused(
        "rpc error: code = PermissionDenied desc = etcdserver: permission denied", watch_id
    )
    etcd = auth_etcd()
    with Relay(etcd.endpoint, denied, passed_on) as relay, watching(relay.endpoint) as watcher:
        assert watcher.connections == [True]
        assert relay.streams == 2
    with (
        Relay(etcd.endpoint, denied) as relay,
        client_of(relay.endpoint, READER) as client,
        Watcher(client) as watcher,
    ):
        with pytest.raises(PermissionDeniedError):
            raise watcher.wait_for_error()
        assert relay.streams == 2


@pytest.mark.parametrize(
    "user",
    [
        pytest.param("reader:wrong", id="wrong password"),
        pytest.param("nobody:x", id="no such user"),
        pytest.param(None, id="no user"),
    ],
)
def test_who_cant_log_in_is_told_at_once(auth_etcd: Callable[..., Etcd], user: str | None) -> None:
    """No retry would help."""
    etcd = auth_etcd()
    client = client_of(etcd.endpoint, user) if user else Client([etcd.endpoint])
    start = time.monotonic()
    with client, Watch(client, "svc") as watch, pytest.raises(AuthenticationError):
        watch.get(TIMEOUT)
    assert time.monotonic() - start < AT_ONCE


def test_a_role_that_does_not_cover_the_target_is_told_at_once(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """As often as it is asked, and without a state before."""
    etcd = auth_etcd()
    with client_of(etcd.endpoint, READER) as client, Watcher(client, target="other") as watcher:
        assert isinstance(watcher.wait_for_error(), PermissionDeniedError)
        assert watcher.states == []


def test_a_role_that_is_taken_away_ends_it(
    auth_etcd: Callable[..., Etcd], monkeypatch: pytest.MonkeyPatch
) -> None:
    """etcd leaves the stream open; the next question tells."""
    monkeypatch.setattr(range_watch_loop, "VERIFY_INTERVAL", 1)
    etcd = auth_etcd()
    with watching(etcd.endpoint) as watcher:
        etcd.ctl("role", "revoke-permission", "reader", "svc/", "--prefix")
        assert isinstance(watcher.wait_for_error(), PermissionDeniedError)


def test_a_password_that_is_changed_ends_nothing(
    auth_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """The file is read again; until it is right, this is an outage like others."""
    etcd = auth_etcd()
    file = tmp_path / "password"
    name, _, password = READER.partition(":")
    file.write_text(password)
    with (
        Client([etcd.endpoint], user=name, password_file=str(file)) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        etcd.with_flags(f"--user={ROOT}").ctl(
            "user", "passwd", name, "--interactive=false", input="new\n"
        )
        etcd.kill()
        etcd.start()
        put(etcd, e1="1")
        watcher.wait_until(lambda watcher: not watcher.connected)
        file.write_text("new")
        watcher.wait_for_addresses(e1="1")
