"""
What gRPC's core can dial of the addresses that endpoints have, and the one target that says it.

One address it can't read spoils the whole target: every call fails. So all of them are read here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias
from urllib.parse import quote

from ..errors import InvalidEndpointError

__all__ = ["Address", "HostPort", "SocketPath", "dial_target", "parse_address"]

IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST_HOST = 253
"""Characters of a name in the DNS."""

LONGEST_PATH = 107
"""Bytes of a unix socket's path on Linux."""


class HostPort(NamedTuple):
    """A port of a machine, which *ip* or, if that is ``None``, the name *host* stands for."""

    host: str
    ip: IP | None
    port: int


class SocketPath(NamedTuple):
    """A unix socket."""

    path: str


Address: TypeAlias = HostPort | SocketPath


def parse_address(text: str) -> Address:
    """
    Return what the address *text* of an endpoint means.

    >>> parse_address("10.0.0.1:80").port, parse_address("unix:///run/s").path
    (80, '/run/s')

    Raises:
        InvalidEndpointError: Nobody could dial that.
    """
    if text.startswith("unix:"):
        return SocketPath(_path(text))
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise InvalidEndpointError(f"{text!r} is not HOST:PORT")
    return _host_port(text, host, _port(text, port))


def dial_target(places: Iterable[tuple[IP, int]], paths: Iterable[str]) -> str | None:
    """
    Return the target of all *places* or, if there are none, of all *paths*; ``None`` for nothing.

    It is sorted and names nothing twice: gRPC shares the connections of equal targets only.

    >>> v4, v6 = ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("::1")
    >>> dial_target([(v4, 80)], [])
    'ipv4:10.0.0.1:80'
    >>> dial_target([(v6, 80), (v4, 80), (v4, 80)], [])
    'ipv6:[::1]:80,[::ffff:10.0.0.1]:80'
    >>> dial_target([], ["/run/b", "/run/a"])
    'unix:/run/a,/run/b'
    """
    chosen = {(_plain(ip), port) for ip, port in places}
    if not chosen:
        found = ",".join(sorted({quote(path) for path in paths}))
        return f"unix:{found}" if found else None
    if all(ip.version == 4 for ip, _ in chosen):
        return "ipv4:" + ",".join(sorted(f"{ip}:{port}" for ip, port in chosen))
    return "ipv6:" + ",".join(sorted(f"[{_in_version_6(ip)}]:{port}" for ip, port in chosen))


def _path(text: str) -> str:
    path = text.removeprefix("unix:")
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    # gRPC splits at the comma, wherever it stands.
    if not path or not path.isprintable() or "," in path or len(path.encode()) > LONGEST_PATH:
        raise InvalidEndpointError(f"{text!r} is no path of a socket that gRPC can dial")
    return path


def _port(text: str, port: str) -> int:
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536):
        raise InvalidEndpointError(f"{text!r} has no port from 1 to 65535")
    return int(port)


def _host_port(text: str, host: str, port: int) -> HostPort:
    bracketed = host.startswith("[") and host.endswith("]")
    name = host[1:-1] if bracketed else host
    ip = _ip(name)
    if bracketed != (ip is not None and ip.version == 6):
        raise InvalidEndpointError(f"{text!r}: an IPv6 address, and nothing else, is in [ ]")
    if ip is None and not _is_name(name):
        raise InvalidEndpointError(f"{text!r} has no host name that can be looked up")
    return HostPort(name, ip, port)


def _ip(name: str) -> IP | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _is_name(name: str) -> bool:
    return len(name) <= LONGEST_HOST and all(each.isalnum() or each in "-._" for each in name)


def _plain(ip: IP) -> IP:
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip


def _in_version_6(ip: IP) -> str:
    if isinstance(ip, ipaddress.IPv4Address):
        return f"::ffff:{ip}"
    return str(ip).replace("%", "%25")  # of a scope: the target is a URI
