"""Check an endpoint from the command line or a file, and complete it before it is stored."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Protocol

import click

from .. import keys, wire
from ..addresses import parse_address
from ..errors import InvalidEndpointError, MissingPortError
from ..model import Endpoint, Update
from . import stderr

__all__ = [
    "ExactUpdate",
    "Notifier",
    "check",
    "check_addr",
    "check_place",
    "complete",
    "complete_addr",
]

_NO_HOST = re.compile(r":[^:]+")
_ANY_HOST = re.compile(r"(0\.0\.0\.0|\[::\]|::)(:[^:]*)?")
_LOCAL_ONLY = re.compile(r"127\.|169\.254\.|::1$|fe[89ab]|$", re.IGNORECASE)


class Notifier(Protocol):
    """Prints messages for the user, as the module `stderr` does."""

    def say(self, text: str) -> None:
        """Print *text*."""

    def warn(self, text: str) -> None:
        """Print a warning."""


class ExactUpdate(Update):
    """An update that was read from the output of a command: its key is in full, also with "/"."""

    __slots__ = ()


def check(update: Update, target: str | None, *, force: bool = False) -> None:
    """
    Check *update*, as far as that is possible without etcd.

    With *force*, the address need not be one that clients can dial; `complete` warns of it.

    Raises:
        InvalidKeyError, InvalidTargetError, InvalidEndpointError: It is invalid.
    """
    if update.endpoint is None:
        check_place(update.key, target)
        return
    check_addr(update.endpoint.addr, force=force)
    check_place(_full_key(update, update.endpoint.addr), target)
    wire.encode(update.endpoint)


def check_addr(addr: str, *, force: bool) -> None:
    """
    Check that clients can dial *addr*, unless *force* is set; a missing port is accepted.

    Raises:
        InvalidEndpointError: It is invalid.
    """
    try:
        addr.encode()
    except UnicodeEncodeError as exc:
        raise InvalidEndpointError("the address is not UTF-8") from exc
    if force:
        return
    try:
        parse_address(addr, default_host="localhost" if _NO_HOST.fullmatch(addr) else "")
    except MissingPortError:
        return  # `complete` warns of it
    except InvalidEndpointError as exc:
        raise InvalidEndpointError(f"{exc}; --force stores it anyway") from exc


def check_place(key: str, target: str | None) -> None:
    """
    Check that *key* is under *target* (``None``: under any target).

    Raises:
        InvalidKeyError, InvalidTargetError: It is not.
    """
    keys.check_key(key, keys.target_of(key) if target is None else target)


def complete(
    update: Update, local_address: Callable[[], str], notifier: Notifier = stderr
) -> Update:
    """
    Return *update* with its address and key in full; *notifier* prints warnings.

    Raises:
        click.UsageError: The host is omitted, and this machine's IP towards etcd is unusable.
    """
    if update.endpoint is None:
        return update
    addr = complete_addr(update.endpoint.addr, local_address, notifier)
    endpoint = Endpoint(addr, update.endpoint.metadata)
    return update._replace(key=_full_key(update, addr), endpoint=endpoint)


def _full_key(update: Update, addr: str) -> str:
    if isinstance(update, ExactUpdate):
        return update.key
    return keys.complete_key(update.key, addr)


def complete_addr(addr: str, local_address: Callable[[], str], notifier: Notifier = stderr) -> str:
    """
    Return *addr* with a host; *notifier* prints warnings about an address clients can't dial.

    Raises:
        click.UsageError: As `complete`.
    """
    addr = _with_any_host(addr, local_address, notifier)
    try:
        parse_address(addr)
    except InvalidEndpointError as exc:
        notifier.warn(str(exc))
    return addr


def _with_any_host(addr: str, local_address: Callable[[], str], notifier: Notifier) -> str:
    if _NO_HOST.fullmatch(addr):
        return _with_host(addr, local_address, notifier)
    if any_host := _ANY_HOST.fullmatch(addr):
        notifier.warn(f"{addr}: servers listen on {any_host[1]}, but clients can't dial it")
    return addr


def _with_host(port: str, local_address: Callable[[], str], notifier: Notifier) -> str:
    try:
        host = local_address()
    except OSError as exc:
        raise click.UsageError(
            f"{port} has no host, and this machine's IP towards etcd is unknown: {exc}"
        ) from exc
    # All clients of a sandbox's etcd are on this machine.
    if _LOCAL_ONLY.match(host) and "ETCDNAMING_SANDBOX" not in os.environ:
        raise click.UsageError(
            f"{port} has no host, and this machine reaches etcd by {host or 'a socket'}, which "
            f"others can't dial: use HOST{port}, or 127.0.0.1{port} for clients on this machine"
        )
    addr = f"[{host}]{port}" if ":" in host else f"{host}{port}"
    notifier.say(f"{port} becomes {addr}, this machine's IP towards etcd")
    return addr
