"""A channel connects to what is new and closes what is gone; its servers count that."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from harness import Certificates, wait_until
from harness.counting import WHO, CountingServers, tls_context

from etcdnaming import (
    Client,
    Endpoint,
    EndpointManager,
    Update,
    aio,
    insecure_channel,
    secure_channel,
)

SIZE = 5
OPTIONS = [("grpc.default_authority", "localhost")]
"""The name in the certificates."""

Errors = list[str]


@contextmanager
def sync_calls(client: Client, ca: bytes | None) -> Iterator[Errors]:
    """Call one after another by a channel in a thread; yield the errors."""
    if ca:
        channel = secure_channel("svc", grpc.ssl_channel_credentials(ca), client, options=OPTIONS)
    else:
        channel = insecure_channel("svc", client)
    stop, errors = threading.Event(), Errors()
    call: Any = channel.unary_unary(WHO)

    def run() -> None:
        while not stop.wait(0.001):
            try:
                call(b"", timeout=20)
            except grpc.RpcError as exc:
                errors.append(str(exc))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield errors
    finally:
        stop.set()
        thread.join()
        channel.close()


@contextmanager
def aio_calls(client: Client, ca: bytes | None) -> Iterator[Errors]:
    """Do the same with asyncio, in a thread with a loop of its own."""
    stop, errors = threading.Event(), Errors()

    async def run() -> None:
        if ca:
            credentials = grpc.ssl_channel_credentials(ca)
            channel = aio.secure_channel("svc", credentials, client, options=OPTIONS)
        else:
            channel = aio.insecure_channel("svc", client)
        async with channel:
            call = channel.unary_unary(WHO)
            while not stop.is_set():
                try:
                    await call(b"", timeout=20)
                except grpc.RpcError as exc:
                    errors.append(str(exc))
                await asyncio.sleep(0.001)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        yield errors
    finally:
        stop.set()
        thread.join()


def replace(client: Client, old: str, new: str) -> None:
    """Deregister one endpoint and register another, in one transaction."""
    manager = EndpointManager(client, "svc")
    manager.update([Update.delete(f"svc/{old}"), Update.add(f"svc/{new}", Endpoint(new))])


def register(client: Client, addrs: list[str]) -> None:
    """Register the endpoints, as many at once as etcd takes."""
    manager = EndpointManager(client, "svc")
    for first in range(0, len(addrs), 100):
        some = addrs[first : first + 100]
        manager.update([Update.add(f"svc/{addr}", Endpoint(addr)) for addr in some])


@pytest.fixture(params=["plain", "TLS"])
def security(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[ssl.SSLContext | None, bytes | None]:
    """Return the settings of the servers, and the CA that channels trust."""
    if request.param == "plain":
        return None, None
    certificates = Certificates(tmp_path)
    return tls_context(certificates), certificates.ca.read_bytes()


@pytest.mark.parametrize("calls", [sync_calls, aio_calls])
def test_channel_connects_only_to_new_endpoints_when_one_in_five_is_replaced_hundred_times(
    client: Client,
    security: tuple[ssl.SSLContext | None, bytes | None],
    calls: Callable[[Client, bytes | None], Any],
) -> None:
    """Each of 105 endpoints gets one connection, a removed one loses it, and no call fails."""
    tls, ca = security
    changes = 100
    with closing(CountingServers(tls)) as servers:
        addrs = servers.start(SIZE + changes)
        register(client, addrs[:SIZE])
        with calls(client, ca) as errors:
            wait_until(lambda: set(servers.calls) == set(addrs[:SIZE]))
            for old, new in zip(addrs, addrs[SIZE:], strict=False):
                replace(client, old, new)
                wait_until(lambda: servers.calls[new])  # noqa: B023 - called here only
            wait_until(lambda: len(servers.transports) == SIZE)
        assert not errors
        assert sum(servers.accepted.values()) <= 1.05 * len(addrs)


@pytest.mark.long
def test_channel_makes_ten_connections_when_ten_in_thousand_endpoints_are_replaced(
    client: Client,
) -> None:
    """The other 990 connections stay, and no call fails."""
    size, changes = 1000, 10
    with closing(CountingServers()) as servers:
        addrs = servers.start(size + changes)
        register(client, addrs[:size])
        with sync_calls(client, None) as errors:
            wait_until(lambda: len(servers.calls) == size, 60)
            assert sum(servers.accepted.values()) == size
            for old, new in zip(addrs, addrs[size:], strict=False):
                replace(client, old, new)
                wait_until(lambda: servers.calls[new])  # noqa: B023 - called here only
        assert not errors
        assert sum(servers.accepted.values()) == size + changes
