"""Check services from outside, once: their ports, or their gRPC health."""

from __future__ import annotations

import errno
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Literal, NamedTuple, TypeAlias

import grpc

from .addresses import Address, SocketPath

__all__ = ["Health", "HealthStatus", "check_connection", "check_grpc_health", "check_many"]

HEALTH_CHECK = "/grpc.health.v1.Health/Check"

CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new connection for every check
)

MAX_PARALLEL = 100
"""Checks at a time; each has a thread, and with gRPC a connection and a thread more."""

DESCRIPTORS = 4
"""What a check may hold, with what gRPC still has to close of the one before."""

SERVING = 1

NAME_LOOKUP = ("resolving", "lookup", "resolution")
"""In gRPC's details if a host name was not found; the rest differs by release and resolver."""

STATUS_NAMES = {0: "UNKNOWN", SERVING: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}

HealthStatus: TypeAlias = Literal["SERVING", "NOT_SERVING", "UNREACHABLE"]


class Health(NamedTuple):
    """
    The result of a check.

    *reason* is why the service does not serve; empty if it does. *seconds* is the time until the
    answer.
    """

    status: HealthStatus
    reason: str = ""
    seconds: float = 0.0


def check_connection(address: Address, timeout: float) -> Health:
    """Connect to *address* within *timeout* seconds; a connection counts as SERVING."""
    try:
        _connect(address, timeout).close()
    except OSError as exc:
        return Health("UNREACHABLE", (exc.strerror or str(exc)).lower())
    except UnicodeError:
        name = address.path if isinstance(address, SocketPath) else address.host
        return Health("UNREACHABLE", f"invalid host name {name!r}")
    return Health("SERVING")


def _connect(address: Address, timeout: float) -> socket.socket:
    if not isinstance(address, SocketPath):
        return socket.create_connection(address, timeout)
    local = socket.socket(socket.AF_UNIX)
    local.settimeout(timeout)
    try:
        local.connect(address.path)
    except OSError:
        local.close()
        raise
    return local


def check_grpc_health(
    target: str,
    service: str,
    timeout: float,
    *,
    credentials: grpc.ChannelCredentials | None = None,
    server_name: str = "",
) -> Health:
    """
    Ask the server at *target* for its health; the answer takes at most *timeout* seconds.

    An empty *service* means the server as a whole. *credentials* enable TLS; *server_name* is then
    the name in the certificate, if it is not that of *target*.
    """
    options: tuple[tuple[str, int | str], ...] = CHANNEL_OPTIONS
    if server_name:
        options = (*options, ("grpc.ssl_target_name_override", server_name))
    with (
        grpc.secure_channel(target, credentials, options=options)
        if credentials
        else grpc.insecure_channel(target, options=options)
    ) as channel:
        check = channel.unary_unary(HEALTH_CHECK, _encode_request, _decode_status)
        try:
            status = check(service, timeout=timeout)
        except grpc.RpcError as exc:
            return _failed(exc)
    if status == SERVING:
        return Health("SERVING")
    return Health("NOT_SERVING", STATUS_NAMES.get(status, f"status {status}"))


def _failed(exc: grpc.RpcError) -> Health:
    if exc.code() is grpc.StatusCode.UNIMPLEMENTED:
        return Health("NOT_SERVING", "the server has no grpc.health.v1.Health service")
    details = exc.details() or ""
    if exc.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Health("UNREACHABLE", "no answer in time")
    if exc.code() is grpc.StatusCode.UNAVAILABLE:
        if any(text in details for text in NAME_LOOKUP):
            return Health("UNREACHABLE", "host name not found")
        # gRPC's core puts its own words, one for each layer, before the reason.
        return Health("UNREACHABLE", details.rpartition(": ")[2].lower() or "UNAVAILABLE")
    return Health("NOT_SERVING", f"{exc.code().name}: {details}")


def check_many(checks: Sequence[Callable[[], Health]]) -> Iterator[tuple[int, Health]]:
    """
    Run *checks* in parallel, and yield the number and the result of each as it ends.

    Raises:
        BlockingIOError: No thread can be started.
    """
    waiting, done = SimpleQueue[int](), SimpleQueue[tuple[int, Health]]()
    for number in range(len(checks)):
        waiting.put(number)

    def run() -> None:
        with suppress(Empty):
            while True:
                number = waiting.get_nowait()
                done.put((number, _run_check(checks[number])))

    for count in range(min(_most_at_a_time(), len(checks))):
        try:
            threading.Thread(target=run, name="etcdnaming-check", daemon=True).start()
        except RuntimeError as exc:  # too many threads: fewer are enough, but not none
            if not count:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from exc
            break
    for _ in checks:
        yield done.get()


def _most_at_a_time() -> int:
    """Return how many checks the descriptors of this process are enough for."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return MAX_PARALLEL
    free = limit - sum(1 for _ in os.scandir("/dev/fd"))
    return max(1, min(MAX_PARALLEL, free // DESCRIPTORS))


def _run_check(check: Callable[[], Health]) -> Health:
    begin = time.monotonic()
    try:
        health = check()
    except Exception as exc:  # noqa: BLE001 - any error means that the endpoint was not checked
        health = Health("UNREACHABLE", str(exc) or type(exc).__name__)
    return health._replace(seconds=time.monotonic() - begin)


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
