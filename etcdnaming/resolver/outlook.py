"""What is known of a target at a moment, as every channel to it should see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..addresses import HostPort, SocketPath, parse_address
from ..errors import InvalidEndpointError
from ..log import logger
from ..model import Endpoint
from .addresses import IP, dial_target, parse_ip
from .host_names import HostNames

__all__ = ["Outlook", "Surveyor"]

_log = logger(__name__)


class Outlook(NamedTuple):
    """
    The endpoints that can be dialled, and the target that dials them; or why there are none.

    *reason* without *target*: calls fail with it at once; those that wait for ready wait, unless
    this is *final*. Neither: nothing is known yet, and every call waits.
    """

    endpoints: tuple[Endpoint, ...] = ()
    target: str | None = None
    reason: str = ""
    final: bool = False


class Surveyor:
    """
    Makes outlooks of the endpoints of *name*; for one thread at a time.

    What can't be dialled is left out, with one warning.
    """

    def __init__(self, name: str, hosts: HostNames) -> None:
        self._name, self._hosts = name, hosts
        self._warned: set[tuple[str, str]] = set()

    def survey(self, endpoints: Sequence[Endpoint]) -> Outlook | None:
        """Return what there is to dial; ``None`` if that has to wait for the DNS."""
        found = _Found()
        for endpoint in endpoints:
            self._sort_in(endpoint, found)
        self._hosts.want(found.names)
        for endpoint, address in found.named:
            self._resolve(endpoint, address, found)
        if found.places:
            for endpoint, _ in found.sockets:
                found.leave_out(endpoint, "a unix socket can't be dialled beside other addresses")
        self._warn(found.left_out)
        target = dial_target(found.places, [path for _, path in found.sockets])
        if target is None:
            return None if found.unknown else Outlook(reason=self._reason(found))
        return Outlook(found.used(), target)

    def _sort_in(self, endpoint: Endpoint, found: _Found) -> None:
        try:
            address = parse_address(endpoint.addr)
        except InvalidEndpointError as exc:
            found.leave_out(endpoint, str(exc))
            return
        if isinstance(address, SocketPath):
            found.sockets.append((endpoint, address.path))
        elif (ip := parse_ip(address.host)) is None:
            found.named.append((endpoint, address))
            found.names.add(address.host)
        else:
            found.dialled.append(endpoint)
            found.places.append((ip, address.port))

    def _resolve(self, endpoint: Endpoint, address: HostPort, found: _Found) -> None:
        ips = self._hosts.answer(address.host)
        found.places.extend((ip, address.port) for ip in ips or ())
        if ips is None:
            found.unknown = True
        elif ips:
            found.dialled.append(endpoint)
        else:
            found.unresolved.append(endpoint.addr)  # the lookup has warned of it

    def _warn(self, left_out: set[tuple[str, str]]) -> None:
        for addr, reason in sorted(left_out - self._warned):
            _log.warning("%s: the endpoint %s is left out: %s", self._name, addr, reason)
        self._warned = left_out

    def _reason(self, found: _Found) -> str:
        useless = [reason for _, reason in sorted(found.left_out)]
        useless += [
            f"the address {addr!r} has an unknown host or interface"
            for addr in sorted(found.unresolved)
        ]
        if not useless:
            return f"the service {self._name} has no endpoints"
        return f"the service {self._name} has no endpoints that can be dialled: {useless[0]}"


class _Found:
    """The endpoints of one survey, by what they are."""

    def __init__(self) -> None:
        self.dialled: list[Endpoint] = []
        self.places: list[tuple[IP, int]] = []
        self.sockets: list[tuple[Endpoint, str]] = []
        self.named: list[tuple[Endpoint, HostPort]] = []
        self.names: set[str] = set()
        self.unresolved: list[str] = []
        self.unknown = False
        self.left_out: set[tuple[str, str]] = set()

    def leave_out(self, endpoint: Endpoint, reason: str) -> None:
        self.left_out.add((endpoint.addr, reason))

    def used(self) -> tuple[Endpoint, ...]:
        """Return the endpoints that can be dialled."""
        return tuple(self.dialled or (endpoint for endpoint, _ in self.sockets))
