"""The whole: read etcd, then listen, then follow, then send the clients away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from importlib.util import find_spec
from typing import NamedTuple

from ...etcd import Client
from ...extras import missing
from ...listening import ListenAddress, check_all_free
from ..assignment import Zones
from ..attributes import AttributeKeys
from ..catalog import Catalog
from ..notice import Notice, Notify
from .admin import Admin
from .counters import Counters
from .hub import Hub
from .journal import Log
from .server import AdsServer, CatalogSource, Limits
from .tls import ServerFiles

__all__ = ["Bridge", "BridgeSettings"]

REMIND = 30.0
"""Seconds between two reports that etcd is waited for."""


class BridgeSettings(NamedTuple):
    """How a bridge serves. Times are in seconds; what they mean is in the manual of the command."""

    listen: Sequence[ListenAddress]
    files: ServerFiles | None = None
    admin: ListenAddress | None = None
    attribute_keys: AttributeKeys = AttributeKeys()
    zones: Zones = "off"
    retries: int = 0
    resync_hold: float = 30.0
    settle: float = 0.01
    drain: float = 5.0
    limits: Limits = Limits()
    log: Log = "nacks"


class Bridge:
    """
    Serves the endpoints below *prefixes* as xDS; made and run in one loop.

    Raises:
        InvalidTargetError: A prefix is empty.
    """

    def __init__(
        self, client: Client, prefixes: Sequence[str], settings: BridgeSettings, notify: Notify
    ) -> None:
        self._settings, self._notify = settings, notify
        self._loop = asyncio.get_running_loop()
        self._prefixes = prefixes
        self.catalog = Catalog(
            client,
            prefixes,
            self._on_change,
            notify,
            attribute_keys=settings.attribute_keys,
            zones=settings.zones,
            hold=settings.resync_hold,
        )
        self.counters = Counters()
        self.hub = Hub(self.catalog, settings.settle)
        source = CatalogSource(self.catalog, settings.zones, settings.retries)
        self._server = AdsServer(
            source, self.hub, self.counters, settings.limits, notify, settings.log
        )
        self._admin = Admin(self)
        self._moved = asyncio.Event()
        self._listening = False

    @property
    def ready(self) -> bool:
        """Whether clients should come here."""
        return self._listening and not self._server.draining

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        """
        Serve until *stop* is set; then send the clients away, or when *hurry* is set just end.

        Raises:
            EtcdError: etcd refuses the first reading, and asking again would not help.
            InvalidSettingError: An address can't be listened on.
        """
        admin = self._settings.admin
        check_all_free([*self._settings.listen, *([admin] if admin else [])])
        try:
            await self._start_admin()
            self.catalog.start()
            if await self._read(stop):
                _return_memory()
                await self._listen()
                await stop.wait()
                await self._drain(hurry)
        finally:
            await self._server.stop(0)
            await self._admin.stop()
            self.catalog.close()

    async def _start_admin(self) -> None:
        if self._settings.admin is None:
            return
        address = await self._admin.start(self._settings.admin)
        text = f"pages for operators are on {address}"
        if find_spec("prometheus_client") is None:
            text += f", but no metrics: {missing('metrics')}"
        self._notify(Notice("admin", text, {"address": address}))

    async def _read(self, stop: asyncio.Event) -> bool:
        """Wait for the first reading; return ``False`` if there is none before *stop*."""
        stopped = self._loop.create_task(stop.wait())
        stopped.add_done_callback(lambda _: self._moved.set())
        remind = self._loop.time()
        while not self.catalog.ready and not stop.is_set():
            self._moved.clear()
            for follower in self.catalog.followers:
                if follower.failure and not follower.was_read:
                    stopped.cancel()
                    raise follower.failure
            waiting = [each.detail for each in self.catalog.followers if each.detail]
            if waiting and not self.catalog.ready and self._loop.time() >= remind:
                remind = self._loop.time() + REMIND
                text = f"waiting for etcd, not listening yet: {waiting[0]}"
                self._notify(Notice("waiting", text, {"detail": waiting[0]}))
            try:
                await asyncio.wait_for(self._moved.wait(), REMIND)
            except asyncio.TimeoutError:
                continue
        stopped.cancel()
        return not stop.is_set()

    async def _listen(self) -> None:
        taken = await self._server.start(self._settings.listen, self._settings.files)
        self._listening = True
        names, endpoints = self.catalog.count()
        revision = self.catalog.revision
        text = (
            f"serving {names} service{'s'[names == 1 :]} with "
            f"{endpoints} endpoint{'s'[endpoints == 1 :]} below "
            f"{', '.join(self._prefixes)}, as of revision {revision}, on {', '.join(taken)}"
        )
        fields = {"services": names, "endpoints": endpoints, "revision": revision}
        self._notify(Notice("ready", text, {**fields, "addresses": taken}))

    async def _drain(self, hurry: asyncio.Event) -> None:
        streams, seconds = len(self.hub.sessions), self._settings.drain
        text = f"draining {streams} streams for at most {seconds:g}s"
        self._notify(Notice("draining", text, {"streams": streams, "seconds": seconds}))
        stopping = self._loop.create_task(self._server.stop(seconds))
        hurried = self._loop.create_task(hurry.wait())
        await asyncio.wait({stopping, hurried}, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not stopping.done():
            await self._server.stop(0)
        await stopping
        self._notify(Notice("drained", "drained"))

    def _on_change(self, targets: AbstractSet[str]) -> None:
        """Pass a change on from a thread of the catalog to the loop."""
        at = time.monotonic()
        try:
            self._loop.call_soon_threadsafe(self._take, targets, at)
        except RuntimeError:  # the loop has ended, and with it the need to know
            return

    def _take(self, targets: AbstractSet[str], at: float) -> None:
        self._moved.set()
        if targets:
            self.hub.changed(targets, at)


def _return_memory() -> None:
    """Return to the system what the first reading has freed, as far as glibc would keep it."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # another libc
        ctypes.CDLL(None).malloc_trim(0)
