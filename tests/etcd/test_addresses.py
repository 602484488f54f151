"""The notations of etcd's endpoints, and the errors for invalid ones."""

from __future__ import annotations

import pytest

from etcdnaming.errors import InvalidSettingError
from etcdnaming.etcd.security import Address, parse_addresses


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
def test_endpoint_accepts_the_notations_of_etcdctl(
    text: str, target: str, tls: bool | None
) -> None:
    """The scheme switches TLS on or off; without a scheme the certificate settings decide."""
    assert parse_addresses([text]) == (Address(text, target, tls),)


@pytest.mark.parametrize(("text", "name"), [("h.:1", "h"), ("https://h.i.:1", "h.i"), ("h:1", "")])
def test_absolute_host_name_is_verified_without_its_dot(text: str, name: str) -> None:
    """Servers written in Go refuse the dot; the DNS needs it."""
    (address,) = parse_addresses(text)

    assert (address.server_name, address.target.endswith(".:1")) == (name, bool(name))


@pytest.mark.parametrize("item", [" a:1", "a:1\n", '"a:1"', "'a:1'", "\t'\"a:1\"' ", "a:1\r\n"])
def test_endpoint_ignores_surrounding_blanks_and_quotes(item: str) -> None:
    """Shells, configuration files and ``docker --env-file`` leave blanks and quotes in a value."""
    assert parse_addresses([item]) == parse_addresses(["a:1"])


@pytest.mark.parametrize("items", [["a:1", ""], ["", "a:1"], ["a:1", " ", "", '""']])
def test_endpoint_list_ignores_empty_items(items: list[str]) -> None:
    """A trailing comma leaves an empty item in the list."""
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
def test_invalid_endpoint_is_reported(text: str) -> None:
    """The error is raised before any connection attempt."""
    with pytest.raises(InvalidSettingError, match="etcd endpoint"):
        parse_addresses([text])


@pytest.mark.parametrize("scheme", ["http://", "ftp://", ""])
def test_invalid_endpoint_error_hides_the_password(scheme: str) -> None:
    """Error messages end up in logs, so they must not contain the password."""
    with pytest.raises(InvalidSettingError) as refused:
        parse_addresses([f"{scheme}root:secret@host:2379"])
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("items", [[], [""], ["", " "], ['""']])
def test_endpoint_list_without_endpoints_is_an_error(items: list[str]) -> None:
    """An empty environment variable does not mean the default endpoint."""
    with pytest.raises(InvalidSettingError, match="no etcd endpoints"):
        parse_addresses(items)


@pytest.mark.parametrize("text", ["a:1,b:2", " a:1, b:2,", "'a:1,b:2'"])
def test_endpoints_in_one_text_are_separated_by_commas(text: str) -> None:
    """As the variable ``ETCDCTL_ENDPOINTS`` has them."""
    assert parse_addresses(text) == parse_addresses(["a:1", "b:2"])


def test_endpoint_list_keeps_its_order_and_drops_duplicates() -> None:
    """The client tries endpoints in the order of the list."""
    found = parse_addresses(["b:1", "a:1", "b:1"])
    assert [address.text for address in found] == ["b:1", "a:1"]
