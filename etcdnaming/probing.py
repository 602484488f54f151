"""Check a service from outside, once: its TCP port, or its gRPC health."""

from __future__ import annotations

import socket

import grpc

__all__ = ["check_grpc_health", "check_tcp_port"]

HEALTH_CHECK = "/grpc.health.v1.Health/Check"

CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new connection for every check
)

SERVING = 1

STATUS_NAMES = {0: "UNKNOWN", SERVING: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


def check_tcp_port(host: str, port: int, timeout: float) -> str:
    """Return why no connection is made within *timeout* seconds; empty if one is."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as exc:
        return (exc.strerror or str(exc)).lower()
    except UnicodeError:
        return f"invalid host name {host!r}"
    return ""


def check_grpc_health(address: str, service: str, timeout: float) -> str:
    """
    Return why the server does not report SERVING within *timeout* seconds; empty if it does.

    An empty *service* means the server as a whole.
    """
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        check = channel.unary_unary(HEALTH_CHECK, _encode_request, _decode_status)
        try:
            status = check(service, timeout=timeout)
        except grpc.RpcError as exc:
            if exc.code() is grpc.StatusCode.UNIMPLEMENTED:
                return "the server has no grpc.health.v1.Health service"
            return f"{exc.code().name}: {exc.details()}"
    return "" if status == SERVING else STATUS_NAMES.get(status, f"status {status}")


# The two messages are encoded by hand: each has one field, and the package grpcio-health-checking
# is not a dependency.


def _encode_request(service: str) -> bytes:
    """Return a HealthCheckRequest: ``string service = 1``."""
    data = service.encode()
    length = bytearray()
    rest = len(data)
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return b"\x0a" + bytes(length) + data if data else b""


def _decode_status(data: bytes) -> int:
    """Return the status in a HealthCheckResponse: ``ServingStatus status = 1``, 0 by default."""
    return data[1] if data[:1] == b"\x08" else 0
