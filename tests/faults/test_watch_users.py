"""A watch with authentication: an expired token is renewed, a missing permission is an error."""

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
    """Return a client of *user*, which is ``name:password``."""
    name, _, password = user.partition(":")
    return Client([endpoint], user=name, password=password)


@contextmanager
def watching(endpoint: str, user: str = READER) -> Iterator[Watcher]:
    """Yield a connected watcher of ``svc`` with the credentials *user*."""
    with client_of(endpoint, user) as client, Watcher(client) as watcher:
        yield watcher.wait_until_connected()


def test_watch_misses_no_change_when_a_restart_makes_all_tokens_invalid(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """The client logs in again."""
    etcd = auth_etcd()
    with watching(etcd.endpoint) as watcher:
        put(etcd, e1="1")
        etcd.kill()
        etcd.start()
        put(etcd, e2="2")
        watcher.wait_for_addresses(e1="1", e2="2")


def test_watch_continues_when_its_token_expires(auth_etcd: Callable[..., Etcd]) -> None:
    """Neither the current stream nor the next one is refused."""
    etcd = auth_etcd("--auth-token-ttl=1")
    cut = threading.Event()
    with (
        Relay(etcd.endpoint, cut_off_when(cut), passed_on) as relay,
        watching(relay.endpoint) as watcher,
    ):
        time.sleep(3)  # long enough for the token to expire
        put(etcd, e1="1")
        cut.set()
        watcher.wait_for_addresses(e1="1")
        time.sleep(3)
        put(etcd, e2="2")
        watcher.wait_for_addresses(e1="1", e2="2")


@pytest.mark.parametrize("watch_id", [0, -1], ids=["etcd", "proxy"])
def test_watch_retries_once_when_its_token_may_be_outdated(
    auth_etcd: Callable[..., Etcd], watch_id: int
) -> None:
    """etcd and its proxy refuse a watch by one answer that is both created and canceled."""
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
def test_watch_fails_immediately_when_the_login_is_refused(
    auth_etcd: Callable[..., Etcd], user: str | None
) -> None:
    """A retry would not help."""
    etcd = auth_etcd()
    client = client_of(etcd.endpoint, user) if user else Client([etcd.endpoint])
    start = time.monotonic()
    with client, Watch(client, "svc") as watch, pytest.raises(AuthenticationError):
        watch.get(TIMEOUT)
    assert time.monotonic() - start < AT_ONCE


def test_watch_fails_immediately_when_the_role_does_not_cover_the_target(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """Every later call fails, too, and no connection state is reported."""
    etcd = auth_etcd()
    with client_of(etcd.endpoint, READER) as client, Watcher(client, target="other") as watcher:
        assert isinstance(watcher.wait_for_error(), PermissionDeniedError)
        assert watcher.states == []


def test_watch_fails_when_its_permission_is_revoked(
    auth_etcd: Callable[..., Etcd], monkeypatch: pytest.MonkeyPatch
) -> None:
    """etcd keeps the stream open, but refuses the next check of the stream."""
    monkeypatch.setattr(range_watch_loop, "VERIFY_INTERVAL", 1)
    etcd = auth_etcd()
    with watching(etcd.endpoint) as watcher:
        etcd.ctl("role", "revoke-permission", "reader", "svc/", "--prefix")
        assert isinstance(watcher.wait_for_error(), PermissionDeniedError)


def test_watch_continues_when_the_password_is_changed(
    auth_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """The password file is read again; until it is updated, the watch is disconnected."""
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
