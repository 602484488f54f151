"""Where a server listens: ``HOST:PORT``, ``[::1]:PORT``, ``:PORT`` or ``unix:PATH``."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .errors import InvalidSettingError

__all__ = ["ListenAddress", "check_all_free", "check_free", "listen_on", "parse_listen_address"]

LONGEST_PATH = 107
"""Bytes of a unix socket's path on Linux."""

BACKLOG = 100
"""Connections that wait to be accepted."""

ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""Errors of a machine without IPv6, or without the address."""


class ListenAddress(NamedTuple):
    """
    An address to listen on. *path* is that of a unix socket; empty for TCP.

    An empty *host* is every address of this machine. *private*: other machines can't connect.
    """

    text: str
    host: str
    port: int
    path: str
    private: bool


def parse_listen_address(text: str) -> ListenAddress:
    """
    Return the address that *text* names; ``:PORT`` is every address.

    >>> parse_listen_address("[::1]:18000").private, parse_listen_address("0.0.0.0:18000").private
    (True, False)
    >>> parse_listen_address(":9100").private
    False

    Raises:
        ValueError: It names none.
    """
    if text.startswith("unix:"):
        return _unix(text)
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or bool(bare) != bool(host) or (":" in bare) != (f"[{bare}]" == host):
        raise ValueError(f"{text!r} is not HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH")
    if not (port.isascii() and port.isdecimal() and int(port[:6]) < 65536):
        raise ValueError(f"{text!r} has no port from 0 to 65535")
    return ListenAddress(text, bare, int(port), "", _is_private(bare))


def check_all_free(addresses: Sequence[ListenAddress]) -> None:
    """
    Make sure that all *addresses* can be listened on, each once.

    Raises:
        InvalidSettingError: As of `check_free`.
    """
    for number, address in enumerate(addresses):
        if address in addresses[:number] and (address.path or address.port):
            raise InvalidSettingError(f"can't listen on {address.text}: given twice")
        check_free(address)


def check_free(address: ListenAddress) -> None:
    """
    Make sure that *address* can be listened on.

    Raises:
        InvalidSettingError: It is taken, or not this machine's.
    """
    if address.path:
        return _check_path(address)
    with contextlib.ExitStack() as opened:
        try:
            _bound(address, opened)
        except OSError as exc:
            raise _cannot_listen(address, exc) from exc
    return None


def listen_on(address: ListenAddress) -> tuple[Sequence[socket.socket], str]:
    """
    Listen on *address*; return the sockets, and the address with the port that was taken.

    A host name may have several addresses; all sockets have the same port.

    Raises:
        InvalidSettingError: It is taken, or not this machine's.
    """
    if address.path:
        _check_path(address)
    with contextlib.ExitStack() as opened:
        try:
            sockets = _unix_socket(address) if address.path else _bound(address, opened)
            for each in sockets:
                each.listen(BACKLOG)
        except OSError as exc:
            raise _cannot_listen(address, exc) from exc
        opened.pop_all()
    if address.path:
        return sockets, address.text
    return sockets, f"{address.text.rpartition(':')[0]}:{sockets[0].getsockname()[1]}"


def _unix_socket(address: ListenAddress) -> Sequence[socket.socket]:
    path = Path(address.path)
    if path.is_socket():
        path.unlink()  # a killed process has left it: nothing listens there
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.bind(address.path)
    except OSError:
        server.close()
        raise
    return [server]


def _bound(address: ListenAddress, opened: contextlib.ExitStack) -> Sequence[socket.socket]:
    """
    Return a socket for each IP address of *address*, all with the same port.

    *opened* closes them.
    """
    sockets: list[socket.socket] = []
    port, absent = address.port, OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    found = socket.getaddrinfo(
        address.host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    families = {family for family, *_ in found}
    for family, kind, protocol, _, sockaddr in dict.fromkeys(found):
        try:
            server = opened.enter_context(socket.socket(family, kind, protocol))
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6 and len(families) > 1:  # IPv4 has a socket of its own
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.bind((sockaddr[0], port, *sockaddr[2:]))
        except OSError as exc:
            if exc.errno not in ABSENT:
                raise
            absent = exc
            continue
        port = server.getsockname()[1]
        sockets.append(server)
    if not sockets:
        raise absent
    return sockets


def _cannot_listen(address: ListenAddress, exc: OSError) -> InvalidSettingError:
    return InvalidSettingError(f"can't listen on {address.text}: {exc.strerror}")


def _check_path(address: ListenAddress) -> None:
    """What is left of a socket may be replaced, but not one that is in use, nor a file."""
    directory = Path(address.path).parent
    if not directory.is_dir():
        raise InvalidSettingError(f"can't listen on {address.text}: no directory {directory}")
    place = Path(address.path)
    if os.path.lexists(place) and not (place.exists() and stat.S_ISSOCK(place.stat().st_mode)):
        raise InvalidSettingError(f"can't listen on {address.text}: not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(address.path) == 0:
            raise InvalidSettingError(f"can't listen on {address.text}: Address already in use")


def _unix(text: str) -> ListenAddress:
    path = text.removeprefix("unix:")
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    if not path or len(os.fsencode(path)) > LONGEST_PATH:
        raise ValueError(f"{text!r} has no path, or one of more than {LONGEST_PATH} bytes")
    return ListenAddress(text, "", 0, path, private=True)


def _is_private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
