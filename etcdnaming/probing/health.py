"""Whether a gRPC server says that it is well, by gRPC's health checking protocol (v1)."""

from __future__ import annotations

import grpc

__all__ = ["trouble_with_health"]

METHOD = "/grpc.health.v1.Health/Check"

OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new connection for every look
)

STATUS = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


def trouble_with_health(address: str, service: str, timeout: float) -> str:
    """
    Return what is wrong; empty if the server at *address* says SERVING within *timeout* seconds.

    An empty *service* asks for all of them.
    """
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        check = channel.unary_unary(METHOD, _encode, _decode)
        try:
            status = check(service, timeout=timeout)
        except grpc.RpcError as exc:
            return _reason(exc)
    return "" if status == 1 else STATUS.get(status, f"status {status}")


def _reason(exc: grpc.RpcError) -> str:
    if exc.code() is grpc.StatusCode.UNIMPLEMENTED:
        return "the server has no grpc.health.v1.Health service"
    return f"{exc.code().name}: {exc.details()}"


def _encode(service: str) -> bytes:
    """Return a HealthCheckRequest, whose only field is ``string service = 1``."""
    data = service.encode()
    length = bytearray()
    rest = len(data)
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return b"\x0a" + bytes(length) + data if data else b""


def _decode(data: bytes) -> int:
    """Return the status of a HealthCheckResponse: ``ServingStatus status = 1``, 0 by default."""
    return data[1] if data[:1] == b"\x08" else 0
