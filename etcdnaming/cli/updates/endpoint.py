"""From an endpoint as people write it to the one that is stored."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import click

from ... import keys, wire
from ...addresses import parse_address
from ...errors import InvalidEndpointError, MissingPortError
from ...model import Endpoint, Update
from .. import stderr

__all__ = ["Tells", "check", "check_place", "settle"]

_NO_HOST = re.compile(r":[^:]+")
_ANY_HOST = re.compile(r"(0\.0\.0\.0|\[::\]|::)(:[^:]*)?")
_NOBODY_ELSE = re.compile(r"127\.|169\.254\.|::1$|fe[89ab]|$", re.IGNORECASE)


class Tells(Protocol):
    """Who says what people want to know: the module `stderr`, for one."""

    def say(self, text: str) -> None:
        """Say *text*."""

    def warn(self, text: str) -> None:
        """Say what is odd."""


def check(update: Update, target: str | None, *, force: bool = False) -> None:
    """
    Make sure that *update* can be made, as far as that can be seen without asking etcd.

    With *force* an address may be one that clients can't dial; `settle` warns of it.

    Raises:
        InvalidKeyError, InvalidTargetError, InvalidEndpointError: It can't.
    """
    if update.endpoint is None:
        check_place(update.key, target)
        return
    _check_addr(update.endpoint.addr, force=force)
    check_place(keys.complete_key(update.key, update.endpoint.addr), target)
    wire.encode(update.endpoint)


def _check_addr(addr: str, *, force: bool) -> None:
    try:
        addr.encode()
    except UnicodeEncodeError as exc:
        raise InvalidEndpointError("the address is not UTF-8") from exc
    if force:
        return
    try:
        parse_address(addr, default_host="localhost" if _NO_HOST.fullmatch(addr) else "")
    except MissingPortError:
        return  # `settle` warns of it
    except InvalidEndpointError as exc:
        raise InvalidEndpointError(f"{exc}; --force stores it anyway") from exc


def check_place(key: str, target: str | None) -> None:
    """
    Make sure that *key* is under *target*, or under any if that is not given.

    Raises:
        InvalidKeyError, InvalidTargetError: It is not.
    """
    keys.check_key(key, keys.target_of(key) if target is None else target)


def settle(update: Update, local_address: Callable[[], str], tells: Tells = stderr) -> Update:
    """
    Return *update* with its address and its key in full; *tells* says what is remarkable.

    Raises:
        click.UsageError: The address needs a host, and ours is not one that others can use.
    """
    if update.endpoint is None:
        return update
    addr = _settle_addr(update.endpoint.addr, local_address, tells)
    try:
        parse_address(addr)
    except InvalidEndpointError as exc:
        tells.warn(str(exc))
    endpoint = Endpoint(addr, update.endpoint.metadata)
    return update._replace(key=keys.complete_key(update.key, addr), endpoint=endpoint)


def _settle_addr(addr: str, local_address: Callable[[], str], tells: Tells) -> str:
    if _NO_HOST.fullmatch(addr):
        return _with_host(addr, local_address, tells)
    if any_host := _ANY_HOST.fullmatch(addr):
        tells.warn(f"{addr}: {any_host[1]} is where servers listen, no client can dial it")
    return addr


def _with_host(port: str, local_address: Callable[[], str], tells: Tells) -> str:
    try:
        host = local_address()
    except OSError as exc:
        raise click.UsageError(f"{port} needs a host, and ours is unknown: {exc}") from exc
    if _NOBODY_ELSE.match(host):
        raise click.UsageError(
            f"{port} has no host, and {host or 'a socket'} is how etcd is reached, where nobody "
            f"else finds this machine: write HOST{port}, or 127.0.0.1{port} for clients right here"
        )
    addr = f"[{host}]{port}" if ":" in host else f"{host}{port}"
    tells.say(f"{port} is {addr}, by which this machine reaches etcd")
    return addr
