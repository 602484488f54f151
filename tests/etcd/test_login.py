"""Users, passwords and tokens."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import AT_ONCE, READER, ROOT, WRITER, Etcd

from etcdnaming.endpoints import transaction
from etcdnaming.endpoints.manager import EndpointManager, services
from etcdnaming.errors import (
    AuthenticationError,
    InvalidSettingError,
    PermissionDeniedError,
)
from etcdnaming.etcd import Client
from etcdnaming.model import Condition, Endpoint, Update

pytestmark = pytest.mark.server

ADD = [Update.add("svc/e1", Endpoint("1.2.3.4"))]


def client_of(etcd: Etcd, user: str) -> Client:
    """Return a client of *user*, which is ``name:password``."""
    name, _, password = user.partition(":")
    return Client([etcd.endpoint], user=name, password=password)


def listed(client: Client) -> list[str]:
    """Return the keys of the endpoints of svc."""
    return list(EndpointManager(client, "svc").list().by_key())


def test_role_for_the_prefix_is_sufficient(auth_etcd: Callable[..., Etcd]) -> None:
    """No call reads or writes keys outside the target."""
    etcd = auth_etcd()
    with client_of(etcd, WRITER) as client:
        manager = EndpointManager(client, "svc/a")
        lease = client.lease_grant(60)
        manager.add_endpoint("svc/a/1", Endpoint("1"), lease=lease.id)
        manager.update(
            [Update.add(f"svc/a/{n}", Endpoint(str(n))) for n in range(3)],
            conditions=[Condition("svc/a/9", 0)],
        )
        assert len(manager.list().endpoints) == manager.count().count == 3
        assert services(client, "svc").counts == {"svc/a": 3}
        assert client.lease_time_to_live(lease.id) > 0
        client.lease_revoke(lease.id)
        assert manager.delete_all().deleted == 2


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("exists", [False, True])
def test_read_only_role_is_refused_every_write(
    auth_etcd: Callable[..., Etcd], count: int, exists: bool
) -> None:
    """etcd before the fix of GHSA-rfx7-8w68-q57q does not check nested transactions."""
    etcd = auth_etcd()
    names = [f"svc/{n}" for n in range(count)]
    for name in names if exists else []:
        etcd.put(name, "{}")
    before = etcd.get("svc/")
    with client_of(etcd, READER) as client:
        assert len(listed(client)) == len(before)
        for updates in (
            [Update.add(name, Endpoint("1")) for name in names],
            [Update.add(name, Endpoint("1"), lease=0) for name in names],
            [Update.delete(name) for name in names],
            [Update.delete(names[0]), Update.add(names[0], Endpoint("1"))],
        ):
            for conditions in ([], [Condition(names[0], None if exists else 0)]):
                with pytest.raises(PermissionDeniedError, match="permission denied"):
                    transaction.update(client, updates, conditions=conditions)
        with pytest.raises(PermissionDeniedError):
            EndpointManager(client, "svc").delete_all()
    assert etcd.get("svc/") == before


def test_read_outside_the_role_is_refused(auth_etcd: Callable[..., Etcd]) -> None:
    """A role for one prefix does not allow reading another one."""
    etcd = auth_etcd()
    with client_of(etcd, WRITER) as client, pytest.raises(PermissionDeniedError):
        EndpointManager(client, "other").list()


def test_wrong_password_fails_immediately(auth_etcd: Callable[..., Etcd]) -> None:
    """The login is not repeated, and the error does not contain the password."""
    etcd = auth_etcd()
    start = time.monotonic()
    with (
        Client(
            [etcd.endpoint],
            user="writer",
            password="wr0ng",
            dial_timeout=60,
            command_timeout=60,
        ) as client,
        pytest.raises(AuthenticationError, match="authentication failed") as refused,
    ):
        listed(client)
    assert time.monotonic() - start < AT_ONCE
    assert "wr0ng" not in str(refused.value)


def test_missing_user_error_names_the_argument(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """etcd's own message is *user name is empty*."""
    etcd = auth_etcd()
    with (
        Client([etcd.endpoint]) as client,
        pytest.raises(AuthenticationError, match=r": set user$"),
    ):
        listed(client)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"user": "a", "password": "b", "password_file": "/c"}, "password_file exclude each other"),
        ({"password": "b"}, "a password needs a user"),
        ({"password_file": "/c"}, "a password needs a user"),
        ({"user": "a"}, "the user 'a' needs a password"),
    ],
)
def test_client_refuses_contradictory_credentials(settings: dict[str, str], reason: str) -> None:
    """Before a file is read, and before anything is sent."""
    with pytest.raises(InvalidSettingError, match=reason):
        Client("127.0.0.1:1", **settings)  # type: ignore[arg-type]


def test_credentials_are_ignored_when_authentication_is_disabled(etcd: Etcd) -> None:
    """As with etcdctl, authentication may be enabled later."""
    with client_of(etcd, ROOT) as client:
        assert listed(client) == []


def test_expired_token_is_renewed(auth_etcd: Callable[..., Etcd]) -> None:
    """A token expires after some idle minutes, here after a second."""
    etcd = auth_etcd("--auth-token-ttl=1")
    with client_of(etcd, WRITER) as client:
        transaction.update(client, ADD)
        time.sleep(2.5)  # etcd drops a token that was not used for a second
        transaction.update(client, ADD)
        time.sleep(2.5)
        assert listed(client) == ["svc/e1"]


def test_token_is_renewed_after_a_restart_and_after_a_change_of_users(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """etcd keeps simple tokens in memory, and every change of users makes them outdated."""
    etcd = auth_etcd()
    with client_of(etcd, WRITER) as client:
        transaction.update(client, ADD)
        etcd.stop()
        etcd.start()
        transaction.update(client, ADD)
        etcd.ctl("user", "add", "new:new")
        transaction.update(client, ADD)
        assert listed(client) == ["svc/e1"]


def test_client_works_when_authentication_is_enabled_or_disabled_meanwhile(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """The same client works after each change."""
    etcd = auth_etcd()
    with client_of(etcd, WRITER) as client:
        for switch in ("disable", "enable", "disable", "enable"):
            etcd.ctl("auth", switch)
            transaction.update(client, ADD)


def test_password_file_is_read_for_every_login(
    auth_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """A client needs no restart when its password changes."""
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    file = tmp_path / "password"
    file.write_text(f"{password}\n")
    with Client([etcd.endpoint], user=name, password_file=str(file)) as client:
        transaction.update(client, ADD)
        etcd.ctl("user", "passwd", "--interactive=false", name, input="rotated\n")
        file.write_text("rotated\n")
        transaction.update(client, ADD)
        file.unlink()
        etcd.ctl("user", "passwd", "--interactive=false", name, input="again\n")
        with pytest.raises(AuthenticationError, match="No such file"):
            transaction.update(client, ADD)


def test_password_of_a_file_may_begin_and_end_with_a_blank(
    auth_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """Only the end of the line is removed."""
    etcd = auth_etcd()
    etcd.ctl("user", "add", "blank: secret ")
    file = tmp_path / "password"
    file.write_bytes(b" secret \r\n")
    with Client([etcd.endpoint], user="blank", password_file=str(file)) as client:
        assert client.status().user == "blank"


def test_given_token_is_sent_unchanged(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """A given token overrides user and password, and is not renewed when etcd refuses it."""
    etcd = auth_etcd()
    settings = {
        "auth_jwt_token": "not-a-token",
        "user": "writer",
        "password": "writer-secret",
    }
    with (
        Client([etcd.endpoint], **settings) as client,  # type: ignore[arg-type]
        pytest.raises(AuthenticationError, match="the token given is not valid") as refused,
    ):
        listed(client)
    assert "not-a-token" not in str(refused.value)


@pytest.mark.parametrize("token", ["hush\nhush", "hush\x7f", "hush \xe4"])
def test_token_that_cant_be_sent_is_refused_before_any_connection_attempt(token: str) -> None:
    """The error does not contain the token."""
    with pytest.raises(InvalidSettingError, match=r"auth_jwt_token: a character .* ASCII") as exc:
        Client(auth_jwt_token=token)
    assert "hush" not in str(exc.value)


def test_user_or_password_that_is_not_utf8_is_refused_before_any_connection_attempt() -> None:
    """A command line in another encoding has such text; the error does not contain it."""
    with pytest.raises(InvalidSettingError, match="user: not UTF-8"):
        Client(user="m\udcfcller", password="x")
    with pytest.raises(InvalidSettingError, match="password: not UTF-8"):
        Client(user="root", password="hush\udcff")


def test_user_without_a_password_is_refused_before_any_connection_attempt(
    tmp_path: Path,
) -> None:
    """The library never prompts for a password."""
    with pytest.raises(InvalidSettingError, match="needs a password"):
        Client(user="root")
    with pytest.raises(InvalidSettingError, match="No such file"):
        Client(user="root", password_file=str(tmp_path / "missing"))
