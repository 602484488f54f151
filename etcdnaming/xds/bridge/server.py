"""
The gRPC server: the streams of ADS, and ``grpc.health.v1``.

On asyncio: a thread for each of a thousand streams would take twice the memory, and four times the
processor time for a change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import grpc
import grpc.aio

from ...errors import InvalidSettingError
from ...listening import ListenAddress, check_free
from .. import xds_pb2 as xds
from ..assignment import Zones, view_of
from ..catalog import Catalog
from ..names import Kind, target_of
from ..notice import Notify
from ..resources import resource
from .counters import Counters
from .hub import Hub
from .journal import Log, StreamJournal
from .session import RequestError, Session
from .tls import ServerFiles

__all__ = ["AdsServer", "CatalogSource", "Limits"]

ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"
STREAM = f"/{ADS}/StreamAggregatedResources"
HEALTH_CHECK, HEALTH_WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"

SERVING, NOT_SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"
"""A HealthCheckResponse, whose only field is ``ServingStatus status = 1``."""

HEALTH_REQUESTS = {b"": "", b"\x0a" + bytes([len(ADS)]) + ADS.encode(): ADS}
"""A HealthCheckRequest, whose only field is ``string service = 1``, for each service there is."""

AGE_GRACE = 5.0
"""Seconds that streams have to move to another connection when theirs is old."""


class Limits(NamedTuple):
    """
    What clients may use. Times are in seconds.

    *max_age* 0: connections may be as old as they like. A connection on which nothing has come for
    *ping_after* is pinged; it ends if the answer takes longer than *ping_timeout*.
    """

    max_streams: int = 10_000
    max_names: int = 1000
    max_age: float = 1800.0
    ping_after: float = 30.0
    ping_timeout: float = 10.0


class CatalogSource:
    """What streams are answered from."""

    def __init__(self, catalog: Catalog, zones: Zones, retries: int) -> None:
        self._catalog, self._zones, self._retries = catalog, zones, retries

    def version(self) -> str:
        """Return etcd's revision, which all servers of an etcd agree on."""
        return str(self._catalog.revision)

    def resource(self, kind: Kind, name: str, node: xds.Node) -> bytes | None:
        """Return the resource *name*. Every name has one: an unknown one has no endpoints."""
        if kind is Kind.ASSIGNMENT:
            return self._catalog.assignment(name, target_of(name), view_of(node, self._zones))
        return resource(kind, name, self._retries)


class AdsServer:
    """Serves *source* on *addresses*, from `start` to `stop`."""

    def __init__(
        self,
        source: CatalogSource,
        hub: Hub,
        counters: Counters,
        limits: Limits,
        notify: Notify,
        log: Log,
    ) -> None:
        self.draining = False
        self._source, self._hub, self._counters, self._limits = source, hub, counters, limits
        self._notify = notify
        self._journal = StreamJournal(counters, notify, log)
        self._health_changed = asyncio.Event()
        self._server: grpc.aio.Server | None = None

    async def start(
        self, addresses: Sequence[ListenAddress], files: ServerFiles | None
    ) -> list[str]:
        """
        Listen; return the addresses with the ports that were taken. Unix sockets are never TLS.

        Raises:
            InvalidSettingError: An address can't be listened on.
        """
        server = self._server = grpc.aio.server(options=self._options())
        server.add_generic_rpc_handlers((_Handlers(self),))
        credentials = files.credentials(self._notify) if files else None
        taken = []
        for address in addresses:
            check_free(address)
            text = address.text if address.path or address.host else f"[::]{address.text}"
            try:
                if credentials and not address.path:
                    port = server.add_secure_port(text, credentials)
                else:
                    port = server.add_insecure_port(text)
            except RuntimeError as exc:
                raise InvalidSettingError(f"can't listen on {address.text}: {exc}") from exc
            if not port:  # gRPC before 1.60 raises nothing
                raise InvalidSettingError(f"can't listen on {address.text}")
            host = address.text.rpartition(":")[0]
            taken.append(address.text if address.path else f"{host}:{port}")
        await server.start()
        return taken

    async def stop(self, drain: float) -> None:
        """Send clients away, and end what is left after *drain* seconds."""
        self.draining = True
        self._health_changed.set()
        if self._server:
            await self._server.stop(drain)

    async def serve(
        self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> None:
        """Serve a stream of ADS."""
        peer = unquote(context.peer())
        if len(self._hub.sessions) >= self._limits.max_streams:
            text = f"{self._limits.max_streams} streams are open already"
            self._journal.refused(peer, "streams", text)
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        session = Session(
            self._source,
            self._hub,
            self._counters,
            self._journal,
            peer=peer,
            max_names=self._limits.max_names,
        )
        self._journal.opened(session)
        try:
            await session.run(requests, context.write)
        except RequestError as exc:
            self._journal.refused(peer, "request", str(exc))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(exc))
        finally:
            self._journal.closed(session)

    async def check(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """Answer ``Health/Check``."""
        if request not in HEALTH_REQUESTS:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return self._health()

    async def watch_health(
        self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> None:
        """Answer ``Health/Watch``: now, and when it changes, which happens once."""
        if request not in HEALTH_REQUESTS:
            await context.write(SERVICE_UNKNOWN)
            await asyncio.Event().wait()
        await context.write(self._health())
        await self._health_changed.wait()
        await context.write(NOT_SERVING)
        await asyncio.Event().wait()

    def _health(self) -> bytes:
        # It listens once every prefix was read, so it serves until it drains.
        return NOT_SERVING if self.draining else SERVING

    def _options(self) -> list[tuple[str, int]]:
        ping_timeout = _milliseconds(self._limits.ping_timeout)
        options = [
            ("grpc.so_reuseport", 0),  # two servers on one port are a mistake
            ("grpc.keepalive_time_ms", _milliseconds(self._limits.ping_after)),
            ("grpc.keepalive_timeout_ms", ping_timeout),
            ("grpc.http2.ping_timeout_ms", ping_timeout),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
            # Requests are small. Measuring each connection, to read faster, would take a fifth of
            # the processor time that a new client costs.
            ("grpc.http2.bdp_probe", 0),
        ]
        if self._limits.max_age:
            options += [
                ("grpc.max_connection_age_ms", _milliseconds(self._limits.max_age)),
                ("grpc.max_connection_age_grace_ms", int(1000 * AGE_GRACE)),
            ]
        return options


def _milliseconds(seconds: float) -> int:
    """Return what gRPC takes: at least 1, and at most what 31 bits hold, which is for ever."""
    return max(1, min(int(1000 * seconds), 2**31 - 1))


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, server: AdsServer) -> None:
        self._handlers: dict[str, Any] = {
            STREAM: grpc.stream_stream_rpc_method_handler(server.serve),
            HEALTH_CHECK: grpc.unary_unary_rpc_method_handler(server.check),
            HEALTH_WATCH: grpc.unary_stream_rpc_method_handler(server.watch_health),
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handlers.get(handler_call_details.method)
