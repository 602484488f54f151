"""
The services that channels of this process follow: what gRPC gets of each, and when it is watched.

gRPC has an xDS client, with threads and 2 MiB of memory, for each target of its channels. So up to
`SLOT_SIZE` services share a target, a *slot*: one listener, whose route table has a virtual host
for each service. A channel's authority picks the host.
"""

from __future__ import annotations

import os
import re
import threading
import time
import weakref
from collections import deque
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from itertools import count
from typing import NamedTuple

from ...errors import ClientClosedError, EtcdnamingError, InvalidSettingError
from ...etcd import Client
from ...fork import call_after_fork, inherited
from ...log import logger
from ...model import Endpoint
from .. import xds_pb2 as xds
from ..assignment import View, assignment
from ..catalog import Catalog
from ..names import XDSTP, Kind, sibling
from ..notice import Notice
from ..resources import packed
from ..stream import Stream
from .bootstrap import AUTHORITY
from .resources import MethodRoute, Policy, cluster, listener, virtual_host
from .server import Server

__all__ = ["Service", "ServiceKey", "Services"]

SLOT_SIZE = 50
"""Services that a slot takes in its life. 1 would give each service a target of its own."""

ACCEPT_TIMEOUT = 0.5
"""Seconds that gRPC has to accept the table of a slot with a new service."""

LINGER = 5.0
"""Seconds for which a service is watched that no channel refers to and gRPC does not ask for."""

_COMPARED_AS_IT_IS = re.compile(r"[a-z0-9._:\[\]-]+")
"""
Authorities that gRPC compares with the domain of a virtual host as they are. It percent-encodes
others first, so a service with such an authority has a slot to itself, whose domain is ``*``.
"""

_log = logger(__name__)


class ServiceKey(NamedTuple):
    """What makes two dials the same service."""

    client: weakref.ref[Client]
    target: str
    hold: float
    policy: Policy
    routes: tuple[MethodRoute, ...]
    authority: str


class Service:
    """
    A target as some channels follow it. All but the catalog is guarded by the lock of `Services`.

    It watches etcd while a channel refers to it, while gRPC asks for its endpoints, and `LINGER`
    longer. What gRPC was given stays there when the watch ends.
    """

    def __init__(self, services: Services, name: str, key: ServiceKey) -> None:
        self.key = key
        self.cluster = f"{XDSTP}{AUTHORITY}/{Kind.CLUSTER.value}/{name}"
        self.assignment = sibling(self.cluster, Kind.ASSIGNMENT)
        self.slot: _Slot | None = None
        self.since = 0
        self.refused = ""
        self.accepted = False  # gRPC has it in its table, or will have it with the first channel
        self.channels = 0
        self.subscribed = self.client_closed = False
        self.unused_since = 0.0
        self._services = services
        self._catalog: Catalog | None = None
        self._reported = ""

    @property
    def is_used(self) -> bool:
        """Whether a channel refers to it, or gRPC asks for its endpoints."""
        return bool(self.channels) or self.subscribed

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints that calls are spread over."""
        catalog = self._catalog
        return catalog.served(self.key.target) if catalog else ()

    def age(self) -> float | None:
        """Return for how many seconds etcd has not been there; ``None`` if it was never read."""
        catalog = self._catalog
        return catalog.age() if catalog else None

    def resource(self) -> bytes | None:
        """
        Return the ClusterLoadAssignment, packed; ``None`` while nothing is known.

        It is empty if there is no hope for now, as without a permission: calls fail at once.
        """
        catalog = self._catalog
        if catalog is not None and catalog.ready:
            return catalog.assignment(self.assignment, self.key.target, View())
        # Without a catalog the watch begins only after this: see `Services.subscribed`.
        failed = catalog is not None and catalog.followers[0].failure
        if not self.client_closed and not failed:
            return None
        return _nothing(self.assignment)

    def watch(self) -> None:
        """
        Watch etcd, unless it is watched.

        Raises:
            ClientClosedError: The client is closed, or gone.
            ConnectionFailedError: No thread can be started now.
        """
        if self._catalog is not None and not self.client_closed:
            return
        client = self.key.client()
        if client is None:
            raise ClientClosedError
        client._attach(self, self._begin)

    def stop(self) -> None:
        """Watch no more, and forget the endpoints."""
        catalog, self._catalog = self._catalog, None
        client = self.key.client()
        if client is not None:
            client._detach(self, self)
        if catalog is not None:
            catalog.close()

    def close(self) -> None:
        """Watch no more, but keep what is known: the client was closed."""
        if self._catalog is None:
            return  # by `stop`
        self.client_closed = True
        self._catalog.close()
        self._services.changed(self)

    def after_fork(self) -> None:
        """Keep what is known, without updates, in a child: see `fork`."""
        self.client_closed = True
        if self._catalog is not None:
            self._catalog.after_fork()

    def _begin(self) -> Service:
        client = self.key.client()
        if client is None:
            raise ClientClosedError
        self._catalog = Catalog(
            client, [self.key.target], self._note_change, _log_notice, hold=self.key.hold
        )
        self._catalog.start()
        return self

    def _note_change(self, targets: AbstractSet[str]) -> None:
        catalog = self._catalog
        if catalog is None:
            return
        follower = catalog.followers[0]
        failure = str(follower.failure or ("" if follower.connected else follower.detail))
        if not catalog.ready and failure != self._reported:
            self._reported = failure
            if failure:
                _log.warning("%s: its endpoints can't be read: %s", self.key.target, failure)
        self._services.changed(self)


class _Slot:
    """
    A target of channels. *full*: it takes no more services.

    *broken*: a connection that used it has ended, so that gRPC may go on with the table it had.
    """

    def __init__(self, name: str, *, any_domain: bool) -> None:
        self.uri = f"xds://{AUTHORITY}/{name}"
        self.listener = f"{XDSTP}{AUTHORITY}/{Kind.LISTENER.value}/{name}"
        self.hosts: dict[str, Service] = {}
        self.taken = 0
        self.any_domain = self.full = any_domain
        self.broken = False
        self.version = 0

    def add(self, service: Service, version: int) -> None:
        self.hosts[service.key.authority] = service
        service.slot, service.since = self, version
        self.version = version
        self.taken += 1
        if self.taken >= SLOT_SIZE:
            self.full = True

    def remove(self, service: Service, version: int) -> None:
        if self.hosts.get(service.key.authority) is service:
            del self.hosts[service.key.authority]
            self.version = version

    def encoded(self) -> bytes:
        hosts = [
            virtual_host(service.cluster, "*" if self.any_domain else domain, service.key.routes)
            for domain, service in self.hosts.items()
        ]
        return listener(self.listener, hosts)


class Services:
    """
    All services of a process, and the server that gRPC asks for them: see `server.Owner`.

    `lock` guards everything. The server's thread holds it while it works, and the thread that dials
    waits with it for gRPC's answer.
    """

    def __init__(self) -> None:
        self.lock = threading.Condition(threading.RLock())
        self._server: Server | None = None
        self._number: int | None = None
        self._version = 0
        self._numbers = count(1)
        self._slots: dict[str, _Slot] = {}
        self._by_key: dict[ServiceKey, Service] = {}
        self._by_cluster: dict[str, Service] = {}
        self._by_assignment: dict[str, Service] = {}
        self._released: deque[Service] = deque()
        call_after_fork(self)

    def dial(self, key: ServiceKey) -> tuple[Service, str, str]:
        """
        Return the service *key*, its channels' target, and the URI of the server.

        The caller has one more channel of it, until it calls `release`.

        Raises:
            ClientClosedError: The client is closed.
            ConnectionFailedError: No thread can be started now.
            InvalidSettingError: gRPC does not accept what the service is.
        """
        with self.lock:
            if self._server is None:
                self._server = Server(self, self._number)
            service = self._by_key.get(key)
            if service is None:
                service = self._new(key)
            service.channels += 1  # before the wait, in which unused services may be ended
            try:
                service.watch()
                self._wait_until_accepted(service)
            except EtcdnamingError:
                service.channels -= 1
                if not (service.accepted or service.channels):
                    self._forget(service)
                raise
            assert service.slot is not None  # noqa: S101 - `_new` has placed it
            return service, service.slot.uri, self._server.uri

    def release(self, service: Service) -> None:
        """Note that a channel is gone. Takes no lock: the garbage collector calls it anywhere."""
        self._released.append(service)
        server = self._server
        if server is not None:
            server.call_later(0, self._sweep)

    def changed(self, service: Service) -> None:
        """Send gRPC what the service's endpoints are now, from any thread."""
        server = self._server
        if server is not None:
            server.announce(Kind.ASSIGNMENT, service.assignment)

    def after_fork(self) -> None:
        """
        Leave the server to the parent, in a child: see `fork`.

        gRPC may go on with the parent's bootstrap, so the child's server gets the same number. It
        answers for the services of inherited channels, but adds none to their slots, whose tables
        gRPC may know in an older version.
        """
        inherited.append(self.lock)
        self.lock = threading.Condition(threading.RLock())
        if self._server is not None:
            self._number = self._server.after_fork()
            self._server = None
        for slot in self._slots.values():
            slot.full = True
        for service in self._by_cluster.values():
            service.subscribed = False
        self._by_key.clear()

    # -- for the server's thread

    def version(self) -> str:
        """Return the number of changes of all tables."""
        return str(self._version)

    def resource(self, kind: Kind, name: str, node: xds.Node) -> bytes | None:
        """
        Return what gRPC asks for; ``None`` if it is not known yet.

        What was forgotten is empty: a stub of a client that is gone may call after that, and gRPC
        waits 15 s for what it does not get.
        """
        if kind is Kind.LISTENER:
            slot = self._slots.get(name)
            return slot.encoded() if slot else listener(name, ())
        if kind is Kind.CLUSTER:
            service = self._by_cluster.get(name)
            return cluster(name, service.key.policy if service else "round_robin")
        service = self._by_assignment.get(name)
        return service.resource() if service else _nothing(name)

    def subscribed(self, name: str, *, wanted: bool) -> None:
        """Watch a service again that gRPC asks for; let the watch end later if it does not."""
        service = self._by_assignment.get(name)
        if service is None:
            return
        service.subscribed = wanted
        if wanted:
            try:
                service.watch()
            except ClientClosedError:
                service.client_closed = True
                self.changed(service)
        elif not service.is_used:
            self._begin_to_linger(service)

    def refused(self, kind: Kind, stream: Stream, reason: str) -> None:
        """Take out the services that were added since gRPC has last accepted a table."""
        _log.warning("gRPC does not accept a %s: %s", kind.name.lower(), reason)
        if kind is not Kind.LISTENER:
            return
        accepted = int(stream.subscriptions[kind].accepted_version or 0)
        for name in stream.names(kind):
            slot = self._slots.get(name)
            for service in [*slot.hosts.values()] if slot else ():
                if service.since > accepted:
                    service.refused = reason
                    self._forget(service)

    def broken(self, names: Collection[str]) -> None:
        """Add nothing to slots of a broken connection: gRPC may go on with the table it has."""
        for name in names:
            if slot := self._slots.get(name):
                slot.full = slot.broken = True

    def _sweep(self) -> None:
        """Note which channels are gone, and end what has been unused for long enough."""
        while self._released:
            service = self._released.popleft()
            service.channels -= 1
            if not service.is_used:
                self._begin_to_linger(service)
        now = time.monotonic()
        for service in [*self._by_cluster.values()]:
            if not service.is_used and service.unused_since + LINGER <= now:
                service.stop()
                if service.client_closed or service.key.client() is None:
                    self._forget(service)

    def _begin_to_linger(self, service: Service) -> None:
        service.unused_since = time.monotonic()
        if self._server is not None:
            self._server.call_later(LINGER, self._sweep)

    # -- the tables

    def _new(self, key: ServiceKey) -> Service:
        # gRPC shows the name in its errors; it must not need any encoding there.
        shown = re.sub(r"[^\w./-]", "_", key.target, flags=re.ASCII)
        service = Service(self, f"{os.getpid()}-{next(self._numbers)}/{shown}", key)
        self._by_key[key] = self._by_cluster[service.cluster] = service
        self._by_assignment[service.assignment] = service
        self._place(service)
        return service

    def _place(self, service: Service) -> None:
        authority = service.key.authority
        any_domain = not _COMPARED_AS_IT_IS.fullmatch(authority)
        open_slots = () if any_domain else self._slots.values()
        slot = next((s for s in open_slots if not s.full and authority not in s.hosts), None)
        if slot is None:
            slot = _Slot(f"{os.getpid()}-{next(self._numbers)}", any_domain=any_domain)
            self._slots[slot.listener] = slot
        self._version += 1
        slot.add(service, self._version)
        self._announce(slot)

    def _announce(self, slot: _Slot) -> None:
        if self._server is not None:
            self._server.announce(Kind.LISTENER, slot.listener)

    def _wait_until_accepted(self, service: Service) -> None:
        while not service.accepted:
            slot, server = service.slot, self._server
            assert slot is not None  # noqa: S101 - the caller has made both
            assert server is not None  # noqa: S101

            def is_decided() -> bool:
                return (
                    bool(service.refused)
                    or service.accepted
                    or service.slot is not slot  # noqa: B023 - called here only
                    or slot.broken  # noqa: B023
                    or server.has_accepted(slot.listener, service.since)  # noqa: B023
                )

            decided = self.lock.wait_for(is_decided, ACCEPT_TIMEOUT)
            if service.refused:
                raise InvalidSettingError(f"gRPC refuses the service: {service.refused}")
            if service.accepted or service.slot is not slot:
                continue  # another thread dials it, too, and was faster
            if decided and not slot.broken:
                service.accepted = True
                return
            # No channel of it exists yet, so it may move.
            slot.full = True
            self._version += 1
            slot.remove(service, self._version)
            self._announce(slot)
            self._place(service)

    def _forget(self, service: Service) -> None:
        service.stop()
        if self._by_key.get(service.key) is service:
            del self._by_key[service.key]
        self._by_cluster.pop(service.cluster, None)
        self._by_assignment.pop(service.assignment, None)
        slot = service.slot
        if slot is None:
            return
        self._version += 1
        slot.remove(service, self._version)
        if slot.hosts:
            self._announce(slot)
        else:
            self._slots.pop(slot.listener, None)


def _nothing(name: str) -> bytes:
    """Return the assignment *name* without endpoints, packed: calls fail at once."""
    return packed(Kind.ASSIGNMENT, assignment(name, (), View(), "off"))


def _log_notice(notice: Notice) -> None:
    if notice.event in ("left-out", "metadata", "unreadable"):
        _log.warning("%s", notice.text)
