"""Where a server listens: ``HOST:PORT``, ``[::1]:PORT`` or ``unix:PATH``."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Sequence
from typing import NamedTuple

from ...errors import InvalidSettingError

__all__ = ["ListenAddress", "check_all_free", "check_free", "parse_listen_address"]

LONGEST_PATH = 107
"""Bytes of a unix socket's path on Linux."""


class ListenAddress(NamedTuple):
    """
    An address to listen on. *path* is that of a unix socket; empty for TCP.

    *private*: other machines can't connect.
    """

    text: str
    host: str
    port: int
    path: str
    private: bool


def parse_listen_address(text: str) -> ListenAddress:
    """
    Return the address that *text* names.

    >>> parse_listen_address("[::1]:18000").private, parse_listen_address("0.0.0.0:18000").private
    (True, False)

    Raises:
        ValueError: It names none.
    """
    if text.startswith("unix:"):
        return _unix(text)
    host, _, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare) != (f"[{bare}]" == host):
        raise ValueError(f"{text!r} is not HOST:PORT, [IPV6]:PORT or unix:PATH")
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
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, sockaddr in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(sockaddr)
    except OSError as exc:
        raise InvalidSettingError(f"can't listen on {address.text}: {exc.strerror}") from exc
    return None


def _check_path(address: ListenAddress) -> None:
    """What is left of a socket may be replaced, but not one that is in use, nor a file."""
    directory = os.path.dirname(address.path) or "."
    if not os.path.isdir(directory):
        raise InvalidSettingError(f"can't listen on {address.text}: no directory {directory}")
    if os.path.lexists(address.path) and not stat.S_ISSOCK(os.stat(address.path).st_mode):
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
