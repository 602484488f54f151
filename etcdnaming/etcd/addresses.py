"""The endpoints of etcd as people write them, and as gRPC dials them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import InvalidSettingError

__all__ = ["Address", "parse_addresses"]


class Address(NamedTuple):
    """
    Where one member listens.

    *text* is for people, *target* for gRPC. *tls* is what the scheme says; ``None``: it says
    nothing, the other settings decide (as in Go's client). *server_name* is what its certificate
    has to be for; empty: its host.
    """

    text: str
    target: str
    tls: bool | None
    server_name: str = ""


_AROUND = " \t\r\n\"'"

# scheme -> (what it says about TLS, is it a path)
_SCHEMES = {
    "http": (False, False),
    "https": (True, False),
    "unix": (None, True),
    "unixs": (True, True),
}


def parse_addresses(endpoints: str | Sequence[str | Address]) -> tuple[Address, ...]:
    """
    Return the addresses of *endpoints*, in order, each once; a text may hold several, with commas.

    Blanks and quotes around an item, which configuration files leave there, are not part of it,
    and empty items, as after a trailing comma, are none. An `Address` stays as it is.

    Raises:
        InvalidSettingError: There are none, or one is not host:port, a URL or a socket.
    """
    items = endpoints.split(",") if isinstance(endpoints, str) else endpoints
    stripped = (item if isinstance(item, Address) else item.strip(_AROUND) for item in items)
    addresses = tuple(dict.fromkeys(_parse(item) for item in stripped if item))
    if not addresses:
        raise _invalid("no etcd endpoints given")
    return addresses


def _parse(text: str | Address) -> Address:
    if isinstance(text, Address):
        return text
    before, colon, rest = text.partition(":")
    scheme = before.lower()
    if colon and scheme in _SCHEMES and (rest.startswith("/") or scheme.startswith("unix")):
        tls, is_path = _SCHEMES[scheme]
        rest = rest.removeprefix("//")
        return _absolute(Address(text, (_socket if is_path else _host_port)(text, rest), tls))
    if "://" in text:
        # The rest is not echoed: it may hold a password.
        raise _invalid(f"etcd endpoint {before}://…: the schemes are http, https, unix and unixs")
    return _absolute(Address(text, _host_port(text, text), None))


def _absolute(address: Address) -> Address:
    # With the dot of an absolute name, servers written in Go end the TLS handshake.
    host, _, _ = address.target.removeprefix("dns:///").rpartition(".:")
    return address._replace(server_name=host)


def _socket(text: str, path: str) -> str:
    if not path:
        raise _invalid(f"etcd endpoint {text!r}: a socket needs a path")
    return f"unix:{path}"


def _host_port(text: str, rest: str) -> str:
    if "@" in rest:
        # Not echoed: what stands before the @ may be a password.
        raise _invalid("an etcd endpoint takes no user name: set user")
    host, _, port = rest.removesuffix("/").rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        raise _invalid(f"etcd endpoint {text!r} is not HOST:PORT")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise _invalid(f"etcd endpoint {text!r}: an IPv6 address stands in [brackets]")
    return f"dns:///{host}:{port}"


def _invalid(text: str) -> InvalidSettingError:
    return InvalidSettingError(text, setting="endpoints")
