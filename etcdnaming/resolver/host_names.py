"""Host names and scopes of endpoints: looked up beside everything else, again and again."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from ..errors import ConnectionFailedError
from ..etcd.threads import run_steps, start_thread
from ..log import logger
from .addresses import IP

__all__ = ["HostNames"]

REFRESH = 30.0
"""Seconds after which a name is looked up again."""

WORKERS = 8
"""Threads that look up, at most: one name without an answer must not hold up the others."""

MOST = 2**32 - 1
"""Numbers of interfaces have 32 bits."""

_log = logger(__name__)


class HostNames:
    """
    The IP addresses of the hosts that are wanted. `_changed` guards everything.

    A host is a name, or an IPv6 address with a scope: an interface comes and goes as a name does.

    Args:
        tell: Called, by a thread of this, when another answer was found. What was found once
            stays, whatever becomes of the DNS.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._changed = threading.Condition()
        self._answers: dict[str, frozenset[IP] | None] = {}
        self._due: dict[str, float] = {}
        self._workers = 0

    def want(self, names: AbstractSet[str]) -> None:
        """Look up *names* from now on, and no others."""
        with self._changed:
            for name in self._answers.keys() - names:
                del self._answers[name]
                self._due.pop(name, None)
            for name in names - self._answers.keys():
                self._answers[name] = None
                self._due[name] = 0.0
            for _ in range(self._workers, min(WORKERS, len(names))):
                try:
                    start_thread(partial(run_steps, self._work, time.sleep), "etcdnaming-hosts")
                except ConnectionFailedError:
                    if not self._workers:
                        raise
                    break  # the others look up all names, if more slowly
                self._workers += 1
            self._changed.notify_all()

    def answer(self, name: str) -> frozenset[IP] | None:
        """Return its addresses, none if there are none; ``None`` if that is not known yet."""
        with self._changed:
            return self._answers.get(name)

    def _work(self) -> bool:
        name = self._next()
        if name and self._note(name, _look_up(name)):
            self._tell()
        return bool(name)

    def _next(self) -> str:
        """Return the next name that is due; an empty one when none is wanted any more."""
        with self._changed:
            while self._answers:
                now = time.monotonic()
                name = min(self._due, key=self._due.__getitem__, default="")
                if name and self._due[name] <= now:
                    del self._due[name]
                    return name
                self._changed.wait(self._due[name] - now if name else None)
            self._workers -= 1
            return ""

    def _note(self, name: str, found: _Found) -> bool:
        with self._changed:
            if name not in self._answers:
                return False
            self._due[name] = time.monotonic() + REFRESH
            self._changed.notify()
            before = self._answers[name]
            if found.reason and before:
                return False
            self._answers[name] = found.ips
        if found.reason and before is None:
            _log.warning("endpoints on %s are left out: %s", name, found.reason)
        return found.ips != before


class _Found(NamedTuple):
    ips: frozenset[IP]
    reason: str = ""


def _look_up(name: str) -> _Found:
    address, _, scope = name.partition("%")
    try:
        if scope:
            return _Found(frozenset({_scoped(address, _interface(scope))}))
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the name is looked up again
        return _Found(frozenset(), str(exc))
    return _Found(frozenset(_scoped(str(host), *rest[2:]) for *_, (host, *rest) in found))


def _scoped(address: str, number: int | str = 0) -> IP:
    return ipaddress.ip_address(f"{address}%{number}" if number else address)


def _interface(scope: str) -> int:
    """
    Return the number of the interface that *scope* names, by name or by number.

    gRPC takes any number, but refuses a whole target for one name that it does not know.

    Raises:
        OSError: There is no such interface on this machine.
    """
    for spelled in (scope, scope.removeprefix("25")):  # URLs spell the percent sign as %25
        with suppress(OSError):
            return _number(spelled)
    raise OSError(f"there is no interface {scope!r}")


def _number(interface: str) -> int:
    if not interface.isdecimal():
        return socket.if_nametoindex(interface)
    number = min(int(interface), MOST)  # Python would cut off the bits above
    socket.if_indextoname(number)
    return number
