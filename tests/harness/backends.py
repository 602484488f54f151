"""gRPC servers for channels: they return their address, and count the calls they get."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

__all__ = ["SERVICE", "Backend", "Backends", "method"]

SERVICE = "test.Service"


def method(name: str) -> str:
    """Return the path of the method *name*."""
    return f"/{SERVICE}/{name}"


class Backend:
    """
    A server on a free port of *host*, or on a unix socket.

    `calls` counts the calls by method; `peers` are the connections that ``Who`` was called on.

    ``Who`` returns the server's address; ``Slow`` does so after the seconds in the request.
    ``Echo`` returns the request, ``Metadata`` its metadata. ``Flaky`` fails twice, and then returns
    the number of calls. ``Count`` sends as many responses as requested, with a pause in seconds
    between them. ``Sum`` returns the number of requests, ``Chat`` every request.
    """

    def __init__(
        self, host: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.peers: set[str] = set()
        self.first = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(64), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, self._handlers()),)
        )
        if credentials:
            self.port = self._server.add_secure_port(host, credentials)
        else:
            self.port = self._server.add_insecure_port(host)
        unix = host.startswith("unix:")
        self.addr = host if unix else f"{host.rpartition(':')[0]}:{self.port}"
        self._server.start()

    def stop(self, grace: float | None = None) -> None:
        """Stop the server; calls in flight may finish within *grace* seconds."""
        self._server.stop(grace).wait()

    def _handlers(self) -> dict[str, Any]:
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        return {
            "Who": unary(self._who),
            "Echo": unary(self._echo),
            "Slow": unary(self._slow),
            "Metadata": unary(self._metadata),
            "Flaky": unary(self._flaky),
            "Count": stream(self._count),
            "Sum": grpc.stream_unary_rpc_method_handler(self._sum),
            "Chat": grpc.stream_stream_rpc_method_handler(self._chat),
        }

    def _note(self, name: str) -> None:
        self.calls[name] += 1
        self.first.set()

    def _who(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._note("Who")
        self.peers.add(context.peer())
        return self.addr.encode()

    def _echo(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._note("Echo")
        return request

    def _slow(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._note("Slow")
        time.sleep(float(request))
        return self.addr.encode()

    def _metadata(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._note("Metadata")
        return repr(dict(context.invocation_metadata())).encode()

    def _flaky(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._note("Flaky")
        if self.calls["Flaky"] < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return str(self.calls["Flaky"]).encode()

    def _sum(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        self._note("Sum")
        return str(len(list(requests))).encode()

    def _count(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self._note("Count")
        number, _, pause = request.partition(b" ")
        for each in range(int(number)):
            yield str(each).encode()
            time.sleep(float(pause or 0))

    def _chat(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self._note("Chat")
        yield from requests


class Backends:
    """The servers of a test."""

    def __init__(self) -> None:
        self._started: list[Backend] = []

    def __call__(
        self, host: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
    ) -> Backend:
        """Start a server."""
        backend = Backend(host, credentials)
        self._started.append(backend)
        return backend

    def close(self) -> None:
        """Stop all servers."""
        for backend in self._started:
            backend.stop()
