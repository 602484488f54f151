"""
What the address of an endpoint may be: the one place that knows.

etcd stores any text there, as Go does. The command line refuses what `parse_address` does, the
library warns of it, and the resolver leaves it out.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from .errors import InvalidEndpointError, MissingPortError

__all__ = ["Address", "HostPort", "SocketPath", "parse_address", "warn_of_address"]

DEFAULT_PORT = 443
"""What gRPC takes for a ``dns:///`` address without a port."""

LONGEST_HOST = 253
"""Characters of a name in the DNS."""

LONGEST_PATH = 107
"""Bytes of a unix socket's path on Linux."""


class HostPort(NamedTuple):
    """A host name or an IP address (IPv6 without brackets, with its scope if any), and a port."""

    host: str
    port: int


class SocketPath(NamedTuple):
    """A unix socket."""

    path: str


Address: TypeAlias = HostPort | SocketPath

# Nearly all addresses, in a third of the time; some that are as good take the longer way.
_PLAIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]{0,99}):([1-9][0-9]{0,3}|[1-5][0-9]{4})")
_NAME = re.compile(r"(?!-)[\w.-]*")


def parse_address(text: str, *, default_host: str = "") -> Address:
    """
    Return what the address *text* of an endpoint means.

    *default_host* is taken for a host that is left out.

    >>> parse_address("[fe80::1%eth0]:80"), parse_address("unix:///run/s")
    (HostPort(host='fe80::1%eth0', port=80), SocketPath(path='/run/s'))

    Raises:
        MissingPortError: It is a host only.
        InvalidEndpointError: No client can dial it.
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
    """Log what is wrong with the address that is stored at *key*, if anything is."""
    try:
        parse_address(addr)
    except InvalidEndpointError as exc:
        from .log import logger  # brings logging, which a command line that is wrong need not

        logger(__name__).warning("%s: gRPC clients can't dial it: %s", key, exc)


def _path(text: str) -> str:
    path = text.removeprefix("unix:")
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    # gRPC splits at the comma, wherever it stands.
    if not path or "," in path or len(path.encode()) > LONGEST_PATH:
        raise _invalid(text, f"needs a path of at most {LONGEST_PATH} bytes without a comma")
    return path


def _split(text: str, rest: str) -> tuple[str, str | None]:
    """Return host and port of *rest*, each checked as far as it does not need the other."""
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
    from ipaddress import IPv6Address  # not cheap to import, and only IPv6 needs it

    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _is_name(host: str) -> bool:
    """Tell whether it can be a host name; an IPv4 address looks like one."""
    return len(host) <= LONGEST_HOST and _NAME.fullmatch(host) is not None


def _invalid(text: str, reason: str) -> InvalidEndpointError:
    return InvalidEndpointError(f"the address {text!r} {reason}")
