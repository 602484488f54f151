"""Many small gRPC servers in one thread that count the connections they accept."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections import Counter
from functools import partial

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded

from .tls import Certificates

__all__ = ["WHO", "CountingServers", "tls_context"]

WHO = "/test.Service/Who"
"""A method of the servers; all others do the same."""

HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
TRAILERS = [("grpc-status", "0")]


def tls_context(certificates: Certificates) -> ssl.SSLContext:
    """Return the TLS settings of servers with the certificate ``server``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server.cert, certificates.server.key)
    context.set_alpn_protocols(["h2"])
    return context


class CountingServers:
    """
    Servers on free ports that answer every unary call with their address.

    `accepted` counts the connections ever accepted by address, `calls` the calls;
    `transports` are the connections that exist. Only the servers' thread writes them.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.accepted: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.transports: set[asyncio.Transport] = set()
        self._servers: list[asyncio.Server] = []
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def start(self, number: int = 1) -> list[str]:
        """Start so many servers; return their addresses."""
        return asyncio.run_coroutine_threadsafe(self._start(number), self._loop).result()

    def close(self) -> None:
        """End all servers and their connections."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self, number: int) -> list[str]:
        addrs = []
        for _ in range(number):
            listener = socket.create_server(("127.0.0.1", 0))
            addr = f"127.0.0.1:{listener.getsockname()[1]}"
            connection = partial(_Connection, self, addr)
            server = await self._loop.create_server(connection, sock=listener, ssl=self._tls)
            self._servers.append(server)
            addrs.append(addr)
        return addrs

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for transport in [*self.transports]:
            transport.abort()
        while self.transports:  # noqa: ASYNC110 - an event would be for this alone
            await asyncio.sleep(0.01)


class _Connection(asyncio.Protocol):
    def __init__(self, servers: CountingServers, addr: str) -> None:
        self._servers, self._addr = servers, addr
        self._http = H2Connection(H2Configuration(client_side=False))
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._servers.accepted[self._addr] += 1
        self._servers.transports.add(transport)
        self._http.initiate_connection()
        transport.write(self._http.data_to_send())

    def data_received(self, data: bytes) -> None:
        assert self._transport
        for event in self._http.receive_data(data):
            if isinstance(event, RequestReceived):
                self._servers.calls[self._addr] += 1
            elif isinstance(event, StreamEnded):
                answer = self._addr.encode()
                self._http.send_headers(event.stream_id, HEADERS)
                self._http.send_data(
                    event.stream_id, b"\0" + len(answer).to_bytes(4, "big") + answer
                )
                self._http.send_headers(event.stream_id, TRAILERS, end_stream=True)
        self._transport.write(self._http.data_to_send())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport:
            self._servers.transports.discard(self._transport)
