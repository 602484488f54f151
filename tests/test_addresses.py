"""What the address of an endpoint may be."""

from __future__ import annotations

import pytest

from etcdnaming.addresses import HostPort, SocketPath, parse_address
from etcdnaming.errors import InvalidEndpointError, MissingPortError


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("10.0.0.1:80", HostPort("10.0.0.1", 80)),
        ("svc.example:65535", HostPort("svc.example", 65535)),
        ("my_svc-1:1", HostPort("my_svc-1", 1)),
        ("bücher.example:80", HostPort("bücher.example", 80)),
        ("1:1", HostPort("1", 1)),
        ("[::1]:80", HostPort("::1", 80)),
        ("[fe80::1%eth0]:80", HostPort("fe80::1%eth0", 80)),
        ("[fe80::1%25eth0]:80", HostPort("fe80::1%25eth0", 80)),
        ("unix:/run/svc.sock", SocketPath("/run/svc.sock")),
        ("unix:///run/svc.sock", SocketPath("/run/svc.sock")),
        ("unix:svc.sock", SocketPath("svc.sock")),
        ("unix:/run/my svc", SocketPath("/run/my svc")),
        ("dns:///svc.example:80", HostPort("svc.example", 80)),
        ("dns:///svc.example", HostPort("svc.example", 443)),
        ("dns:///[::1]:80", HostPort("::1", 80)),
    ],
)
def test_parse_address_accepts_every_form_that_can_be_dialled(
    text: str, meaning: HostPort | SocketPath
) -> None:
    """The result is a host and a port, or a socket."""
    assert parse_address(text) == meaning


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://1.2.3.4:80", "is a URL: write HOST:PORT"),
        ("xds:///svc", "is a URL: write HOST:PORT"),
        ("dns://8.8.8.8/svc:80", "is a URL: write HOST:PORT"),
        ("1.2.3.4 :80", "has a blank or a control character"),
        (" ", "has a blank or a control character"),
        ("1.2.3.4:80\n", "has a blank or a control character"),
        ("1.2.3.4\xa0:80", "has a blank or a control character"),
        ("\x1b[2J:80", "has a blank or a control character"),
        ("unix:/run/my\tsvc", "has a blank or a control character"),
        ("\udcff:80", "has a blank or a control character"),
        ("1.2.3.4:0", "needs a port from 1 to 65535"),
        ("1.2.3.4:65536", "needs a port from 1 to 65535"),
        ("1.2.3.4:99999", "needs a port from 1 to 65535"),
        ("1.2.3.4:http", "needs a port from 1 to 65535"),
        ("1.2.3.4:-1", "needs a port from 1 to 65535"),
        ("1.2.3.4:٨٠", "needs a port from 1 to 65535"),
        ("1.2.3.4:80?x", "needs a port from 1 to 65535"),
        ("host:", "needs a port from 1 to 65535"),
        ("[::1]:", "needs a port from 1 to 65535"),
        ("dns:///host:0", "needs a port from 1 to 65535"),
        (":", "has neither host nor port"),
        (":80", "has no host"),
        ("dns:///", "has no host"),
        ("[10.0.0.1]:80", "is not [IPV6]:PORT"),
        ("[host]:80", "is not [IPV6]:PORT"),
        ("[::1:80", "is not [IPV6]:PORT"),
        ("[::1]80", "is not [IPV6]:PORT"),
        ("a:b:80", "is not HOST:PORT"),
        ('1.2.3.4:80={"a":1}', "is not HOST:PORT"),
        ("a,b:80", "has no host name or IP address: 'a,b'"),
        ("user@host:80", "has no host name or IP address: 'user@host'"),
        ("k=1.2.3.4:80", "has no host name or IP address: 'k=1.2.3.4'"),
        ("--metadata", "has no host name or IP address: '--metadata'"),
        ("unix:", "needs a path of at most 107 bytes without a comma"),
        ("unix:/a,/b", "needs a path of at most 107 bytes without a comma"),
        ("unix:/" + "x" * 200, "needs a path of at most 107 bytes without a comma"),
    ],
)
def test_parse_address_refuses_what_no_client_can_dial(text: str, reason: str) -> None:
    """The message says what is wrong."""
    with pytest.raises(InvalidEndpointError) as caught:
        parse_address(text)

    assert not isinstance(caught.value, MissingPortError)
    assert str(caught.value) == f"the address {text!r} {reason}"


def test_parse_address_refuses_an_empty_address() -> None:
    """Go stores it, but no client can dial it."""
    with pytest.raises(InvalidEndpointError, match=r"^the address is empty$"):
        parse_address("")


@pytest.mark.parametrize(
    ("text", "example"),
    [
        ("1.2.3.4", "1.2.3.4:PORT"),
        ("localhost", "localhost:PORT"),
        ("::1", "[::1]:PORT"),
        ("::1:80", "[::1:80]:PORT"),
        ("[::1]", "[::1]:PORT"),
        ("fe80::1%eth0", "[fe80::1%eth0]:PORT"),
    ],
)
def test_parse_address_raises_its_own_error_for_a_missing_port(text: str, example: str) -> None:
    """etcd's own guide stores such addresses."""
    with pytest.raises(MissingPortError) as caught:
        parse_address(text)

    assert str(caught.value) == f"the address {text!r} has no port: write {example}"


def test_parse_address_uses_the_default_host_when_the_host_is_omitted() -> None:
    """On the command line that is this machine's IP."""
    assert parse_address(":80", default_host="10.0.0.5") == HostPort("10.0.0.5", 80)
    with pytest.raises(InvalidEndpointError, match=r"^the address ':0' needs a port"):
        parse_address(":0", default_host="10.0.0.5")
