"""
A small gRPC server, as a container may run: it says hello, and whether it is well.

    python server.py --port 50051

At SIGTERM it takes no new calls, finishes those it has, and ends with exit code 0. By then no
client calls it any more: lease-register has deleted its endpoint first, and waited for --drain.
"""

from __future__ import annotations

import argparse
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import grpc

SERVICE = "example.Greeter"

GRACE = 5.0
"""Seconds for the calls under way at the end: less than the --stop-timeout of lease-register."""

HEALTH_REQUESTS = {b"", b"\x0a" + bytes([len(SERVICE)]) + SERVICE.encode()}
"""The HealthCheckRequests we know: for all of the server, and for `SERVICE`."""

SERVING = b"\x08\x01"
"""A HealthCheckResponse. grpcio-health-checking has the whole protocol, for three lines more."""


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="A small gRPC server.")
    parser.add_argument("--port", type=int, default=50051)
    port = parser.parse_args().port
    ending: SimpleQueue[None] = SimpleQueue()  # an Event may hang when a signal interrupts its wait
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: ending.put(None))

    server = build(f"{socket.gethostname()}:{port}")
    server.add_insecure_port(f"[::]:{port}")
    server.start()
    ending.get()
    server.stop(GRACE).wait()


def build(name: str) -> grpc.Server:
    """Return a server that says it is *name*."""

    def hello(request: bytes, _: grpc.ServicerContext) -> bytes:
        return b"hello " + request + f" from {name}".encode()

    # Two servers on one port are a mistake here, and not what the kernel should share calls among.
    server = grpc.server(ThreadPoolExecutor(10), options=[("grpc.so_reuseport", 0)])
    unary, service = grpc.unary_unary_rpc_method_handler, grpc.method_handlers_generic_handler
    server.add_generic_rpc_handlers(
        (
            service(SERVICE, {"Hello": unary(hello)}),
            service("grpc.health.v1.Health", {"Check": unary(check_health)}),
        )
    )
    return server


def check_health(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Answer for gRPC's health checking protocol."""
    if request not in HEALTH_REQUESTS:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
    return SERVING


if __name__ == "__main__":
    main()
