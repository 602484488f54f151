"""Host names of endpoints: looked up in threads of their own, again and again."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import NamedTuple, TypeAlias

from ..errors import ConnectionFailedError
from ..etcd.threads import run_steps, start_thread
from ..log import logger

__all__ = ["IP", "HostNames", "parse_ip"]

IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

REFRESH = 30.0
"""Seconds after which a name is looked up again."""

WORKERS = 8
"""Threads that look up, at most: one name without an answer must not hold up the others."""

_log = logger(__name__)


def parse_ip(host: str) -> IP | None:
    """Return the IP address *host*; ``None`` for a name, which has to be looked up."""
    try:
        return None if "%" in host else ipaddress.ip_address(host)
    except ValueError:
        return None


class HostNames:
    """
    The IP addresses of the names that are wanted. `_changed` guards everything.

    Args:
        on_change: Called, by a thread of this, when another answer was found. What was found once
            stays while the DNS does not answer.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
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
            self._on_change()
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
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as exc:
        return _Found(frozenset(), exc.strerror or str(exc))
    except UnicodeError:
        return _Found(frozenset(), "invalid host name")
    except Exception as exc:  # noqa: BLE001 - whatever it is, the name is looked up again
        return _Found(frozenset(), str(exc))
    return _Found(frozenset(_scoped(str(host), *rest[2:]) for *_, (host, *rest) in found))


def _scoped(address: str, number: int | str = 0) -> IP:
    return ipaddress.ip_address(f"{address}%{number}" if number else address)
