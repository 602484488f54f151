"""
Addresses of endpoints: which ones a gRPC client can dial.

etcd stores any text as an address, as Go does. What `parse_address` refuses, the command line
refuses too; the library logs a warning, and the resolver leaves the endpoint out.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from .errors import InvalidEndpointError, MissingPortError

__all__ = ["Address", "HostPort", "SocketPath", "parse_address", "warn_of_address"]

DEFAULT_PORT = 443
"""The port that gRPC uses for a ``dns:///`` address without one."""

MAX_HOST_LENGTH = 253
"""Characters of a DNS name."""

MAX_PATH_LENGTH = 107
"""Bytes of a unix socket's path on Linux."""


class HostPort(NamedTuple):
    """A host name or an IP address (IPv6 without brackets, with its scope if any), and a port."""

    host: str
    port: int


class SocketPath(NamedTuple):
    """A unix socket."""

    path: str


Address: TypeAlias = HostPort | SocketPath

# Matches nearly all addresses, in a third of the time; the other valid ones are parsed below.
_PLAIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]{0,99}):([1-9][0-9]{0,3}|[1-5][0-9]{4})")
_NAME = re.compile(r"(?!-)[\w.-]*")


def parse_address(text: str, *, default_host: str = "") -> Address:
    """
    Parse the address *text* of an endpoint; *default_host* is used if the host is omitted.

    >>> parse_address("[fe80::1%eth0]:80"), parse_address("unix:///run/s")
    (HostPort(host='fe80::1%eth0', port=80), SocketPath(path='/run/s'))

    Raises:
        MissingPortError: *text* is a host without a port.
        InvalidEndpointError: No gRPC client can dial *text*.
    """
    if plain := _PLAIN.fullmatch(text):
        return HostPort(plain[1], int(plain[2]))
    if not text:
        raise InvalidEndpointError("the address is empty")
    is_path = text.startswith("unix:")
    if not text.isprintable() or (" " in text and not is_path):
        raise _invalid(text, "has a blank or a control character")
    if text == ":":
        raise _invalid(text, "has neither host nor port")
    if is_path:
        return SocketPath(_path(text))
    is_dns = text.startswith("dns:///")
    if "://" in text and not is_dns:
        raise _invalid(text, "is a URL: write HOST:PORT")
    host, port = _split(text, text.removeprefix("dns:///"))
    if not (host or default_host):
        raise _invalid(text, "has no host")
    if port is None and not is_dns:
        raise MissingPortError(text)
    return HostPort(host or default_host, DEFAULT_PORT if port is None else _port(text, port))


def warn_of_address(key: str, addr: str) -> None:
    """Log a warning if gRPC clients can't dial the address that is stored at *key*."""
    try:
        parse_address(addr)
    except InvalidEndpointError as exc:
        from .log import logger  # imports logging, which most commands do not need

        logger(__name__).warning("%s: gRPC clients can't dial it: %s", key, exc)


def _path(text: str) -> str:
    path = text.removeprefix("unix:")
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    # gRPC splits the address at every comma.
    if not path or "," in path or len(path.encode()) > MAX_PATH_LENGTH:
        raise _invalid(text, f"needs a path of at most {MAX_PATH_LENGTH} bytes without a comma")
    return path


def _split(text: str, rest: str) -> tuple[str, str | None]:
    """Return host and port of *rest*; the port is still unchecked."""
    if rest.startswith("["):
        host, bracket, after = rest[1:].partition("]")
        if not (bracket and _is_ipv6(host) and after[:1] in ("", ":")):
            raise _invalid(text, "is not [IPV6]:PORT")
        return host, after[1:] if after else None
    if rest.count(":") > 1:
        if _is_ipv6(rest):
            return rest, None
        raise _invalid(text, "is not HOST:PORT")
    host, colon, port = rest.partition(":")
    if not _is_name(host):
        raise _invalid(text, f"has no host name or IP address: {host!r}")
    return host, port if colon else None


def _port(text: str, port: str) -> int:
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536):
        raise _invalid(text, "needs a port from 1 to 65535")
    return int(port)


def _is_ipv6(host: str) -> bool:
    from ipaddress import IPv6Address  # slow to import, and only needed for IPv6

    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _is_name(host: str) -> bool:
    """Return whether *host* can be a host name, or an IPv4 address."""
    return len(host) <= MAX_HOST_LENGTH and _NAME.fullmatch(host) is not None


def _invalid(text: str, reason: str) -> InvalidEndpointError:
    return InvalidEndpointError(f"the address {text!r} {reason}")
