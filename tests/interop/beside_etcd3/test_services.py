"""Registrations and channels work on the channel of an ``etcd3.Client``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from harness import Etcd, wait_until
from harness.backends import Backend, Backends, method
from harness.registrations import EventLog, holds
from harness.watcher import stored

from etcdnaming import Endpoint, Registration, aio, insecure_channel
from etcdnaming.etcd import Client


@pytest.fixture
def backends() -> Iterator[Backends]:
    """Starts servers."""
    with closing(Backends()) as backends:
        yield backends


def test_registration_outlives_its_ttl_on_the_channel_of_python_etcd3(
    etcd: Etcd, client: Client, etcd3_client: Any
) -> None:
    """It is kept alive through that channel, which is still usable afterwards."""
    endpoint, events = Endpoint("1.2.3.4:80"), EventLog()
    with Registration(client, {"svc/e1": endpoint}, ttl=4, on_state=events) as registration:
        [lease] = etcd.leases()
        assert holds(etcd, "svc/e1", endpoint, lease)
        renewed = _renewed(etcd, lease)
        for _ in range(4):  # each a third of the TTL after the other
            wait_until(lambda: next(renewed))
        assert (registration.lease, etcd.leases()) == (lease, [lease])
    assert (etcd.get("svc/"), etcd.leases()) == ({}, [])
    assert "lost" not in events.kinds
    assert etcd3_client.get("svc/e1") == (None, None)


def _renewed(etcd: Etcd, lease: int) -> Iterator[bool]:
    """Yield whether the lease has more time left than at the last look."""
    left = 0
    while True:
        before = left
        left = etcd.ctl_json("lease", "timetolive", f"{lease:x}")["ttl"]
        assert left > 0
        yield left > before


def test_registration_puts_back_what_python_etcd3_deletes(
    etcd: Etcd, client: Client, etcd3_client: Any
) -> None:
    """As after any deletion."""
    with Registration(client, {"svc/e1": Endpoint("1")}):
        etcd3_client.delete("svc/e1")
        wait_until(lambda: list(etcd.get("svc/")) == [b"svc/e1"])


def test_channel_finds_servers_that_python_etcd3_puts(
    client: Client, etcd3_client: Any, backends: Backends
) -> None:
    """And follows their changes."""
    first, second = backends(), backends()
    etcd3_client.put("svc/e1", stored(first.addr))
    with insecure_channel("etcd:///svc", client) as channel:
        who = channel.unary_unary(method("Who"))
        assert who(b"", timeout=10).decode() == first.addr
        etcd3_client.put("svc/e1", stored(second.addr))
        wait_until(lambda: who(b"", timeout=10).decode() == second.addr)


def test_aio_channel_finds_servers_that_python_etcd3_puts(
    client: Client, etcd3_client: Any, backends: Backends
) -> None:
    """Beside the threads of the other client."""

    async def ask(server: Backend) -> None:
        async with aio.insecure_channel("etcd:///svc", client) as channel:
            assert await channel.unary_unary(method("Who"))(b"", timeout=10) == server.addr.encode()

    server = backends()
    etcd3_client.put("svc/e1", stored(server.addr))
    asyncio.run(asyncio.wait_for(ask(server), 20))
