"""Incomplete addresses: how they are completed, and which are refused."""

from __future__ import annotations

import click
import pytest

from etcdnaming.cli.updates import check, complete
from etcdnaming.errors import InvalidEndpointError
from etcdnaming.model import Endpoint, Update


def add(key: str, addr: str) -> Update:
    """Return an update that adds an endpoint with metadata and a lease."""
    return Update.add(key, Endpoint(addr, {"zone": "a"}), lease=7)


def no_address() -> str:
    """Fail the test: this machine's own address must not be looked up."""
    raise AssertionError("not needed")


@pytest.mark.parametrize(
    ("host", "addr"),
    [("10.0.0.5", "10.0.0.5:50051"), ("2001:db8::1", "[2001:db8::1]:50051")],
)
def test_port_without_a_host_gets_the_local_address(
    capsys: pytest.CaptureFixture[str], host: str, addr: str
) -> None:
    """A message prints the address, in case the machine has several; the key gets it too."""
    assert complete(add("svc/", ":50051"), lambda: host) == add(f"svc/{addr}", addr)
    assert capsys.readouterr() == ("", f":50051 becomes {addr}, this machine's IP towards etcd\n")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "169.254.1.1", "::1", "fe80::1%eth0", "FEBF::1", ""]
)
def test_port_without_a_host_is_refused_when_the_local_address_is_not_public(host: str) -> None:
    """The error says what to write instead."""
    with pytest.raises(click.UsageError) as caught:
        complete(add("svc/", ":50051"), lambda: host)

    assert str(caught.value) == (
        f":50051 has no host, and this machine reaches etcd by {host or 'a socket'}, which others "
        "can't dial: use HOST:50051, or 127.0.0.1:50051 for clients on this machine"
    )


def test_omitted_host_is_refused_when_the_local_address_is_unknown() -> None:
    """The network may be down."""

    def unreachable() -> str:
        raise OSError("Network is unreachable")

    with pytest.raises(click.UsageError) as caught:
        complete(add("svc/e1", ":50051"), unreachable)

    assert str(caught.value) == (
        ":50051 has no host, and this machine's IP towards etcd is unknown: Network is unreachable"
    )


@pytest.mark.parametrize(
    "addr",
    [
        "1.2.3.4:80",
        "svc.example:80",
        "[::1]:80",
        "[fe80::1%eth0]:80",
        "unix:/x",
        "dns:///a:80",
        "0.0.0.1:80",
    ],
)
def test_valid_address_is_unchanged(capsys: pytest.CaptureFixture[str], addr: str) -> None:
    """No message is printed."""
    check(add("svc/e1", addr), None)
    assert complete(add("svc/e1", addr), no_address) == add("svc/e1", addr)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("addr", ["1.2.3.4", "localhost", "::1", "fe80::1%eth0"])
def test_address_without_a_port_draws_a_warning(
    capsys: pytest.CaptureFixture[str], addr: str
) -> None:
    """It is stored, as etcd's own guide has such an address."""
    check(add("svc/e1", addr), None)
    assert complete(add("svc/e1", addr), no_address) == add("svc/e1", addr)

    example = f"[{addr}]" if ":" in addr else addr
    warning = f"Warning: the address {addr!r} has no port: write {example}:PORT\n"
    assert capsys.readouterr() == ("", warning)


@pytest.mark.parametrize(
    "addr",
    ["http://a:1", "a:99999", "a:0", "a :1", " ", "a\n:1", ":", "a=b:1", ""],
)
def test_address_that_no_client_can_dial_is_refused_unless_forced(
    capsys: pytest.CaptureFixture[str], addr: str
) -> None:
    """With --force the reason is printed as a warning."""
    with pytest.raises(InvalidEndpointError) as caught:
        check(add("svc/e1", addr), None)
    reason, semicolon, hint = str(caught.value).rpartition("; ")
    assert (semicolon, hint) == ("; ", "--force stores it anyway")

    check(add("svc/e1", addr), None, force=True)
    assert complete(add("svc/e1", addr), no_address) == add("svc/e1", addr)
    assert capsys.readouterr() == ("", f"Warning: {reason}\n")


@pytest.mark.parametrize("addr", [":0", ":99999", ":http", ": 80"])
def test_port_without_a_host_is_checked(addr: str) -> None:
    """The check comes before the lookup of this machine's own address."""
    with pytest.raises(InvalidEndpointError, match=f"^the address '{addr}' "):
        check(add("svc/e1", addr), None)


def test_delete_is_unchanged_when_updates_are_completed() -> None:
    """It has no address."""
    assert complete(Update.delete("svc/"), no_address) == Update.delete("svc/")


@pytest.mark.parametrize("force", [False, True])
def test_address_is_refused_unless_it_is_utf8(force: bool) -> None:
    """It could not be stored as JSON."""
    with pytest.raises(InvalidEndpointError, match=r"^the address is not UTF-8$"):
        check(add("svc/e1", "\udcff"), None, force=force)
