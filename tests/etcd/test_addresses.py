"""How etcd's endpoints may be written."""

from __future__ import annotations

import pytest

from etcdnaming.errors import InvalidSettingError
from etcdnaming.etcd.addresses import Address, parse_addresses


@pytest.mark.parametrize(
    ("text", "target", "tls"),
    [
        ("127.0.0.1:2379", "dns:///127.0.0.1:2379", None),
        ("etcd-1.example:2379", "dns:///etcd-1.example:2379", None),
        ("[::1]:2379", "dns:///[::1]:2379", None),
        ("http://127.0.0.1:2379", "dns:///127.0.0.1:2379", False),
        ("http://127.0.0.1:2379/", "dns:///127.0.0.1:2379", False),
        ("https://[::1]:2379", "dns:///[::1]:2379", True),
        ("unix:///run/etcd.sock", "unix:/run/etcd.sock", None),
        ("unix://etcd.sock:0", "unix:etcd.sock:0", None),
        ("unixs:///run/etcd.sock", "unix:/run/etcd.sock", True),
        ("HTTP://127.0.0.1:2379", "dns:///127.0.0.1:2379", False),
        ("Https://[::1]:2379/", "dns:///[::1]:2379", True),
        ("127.0.0.1:2379/", "dns:///127.0.0.1:2379", None),
        ("UNIX:///run/Etcd.sock", "unix:/run/Etcd.sock", None),
    ],
)
def test_an_endpoint_is_written_as_for_etcdctl(text: str, target: str, tls: bool | None) -> None:
    """A scheme decides about TLS; without one the certificates given do."""
    assert parse_addresses([text]) == (Address(text, target, tls),)


@pytest.mark.parametrize("item", [" a:1", "a:1\n", '"a:1"', "'a:1'", "\t'\"a:1\"' ", "a:1\r\n"])
def test_blanks_and_quotes_around_an_endpoint_are_no_part_of_it(item: str) -> None:
    """Shells, configuration files and ``docker --env-file`` leave them there."""
    assert parse_addresses([item]) == parse_addresses(["a:1"])


@pytest.mark.parametrize("items", [["a:1", ""], ["", "a:1"], ["a:1", " ", "", '""']])
def test_empty_items_are_no_endpoints(items: list[str]) -> None:
    """As after a trailing comma."""
    assert parse_addresses(items) == parse_addresses(["a:1"])


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        ":2379",
        "host:",
        "host:0",
        "host:65536",
        "host:x",
        "::1:2379",
        "ftp://h:1",
        "http:/",
        "h:\u0661",
    ],
)
def test_nonsense_is_named(text: str) -> None:
    """Before anything is dialled."""
    with pytest.raises(InvalidSettingError, match="etcd endpoint"):
        parse_addresses([text])


@pytest.mark.parametrize("scheme", ["http://", "ftp://", ""])
def test_a_password_in_an_endpoint_is_not_echoed(scheme: str) -> None:
    """Messages end up in logs."""
    with pytest.raises(InvalidSettingError) as refused:
        parse_addresses([f"{scheme}root:secret@host:2379"])
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("items", [[], [""], ["", " "], ['""']])
def test_there_must_be_one(items: list[str]) -> None:
    """An empty variable is not the default."""
    with pytest.raises(InvalidSettingError, match="no etcd endpoints"):
        parse_addresses(items)


def test_the_order_is_kept_and_doubles_are_dropped() -> None:
    """They are tried in this order."""
    found = parse_addresses(["b:1", "a:1", "b:1"])
    assert [address.text for address in found] == ["b:1", "a:1"]
