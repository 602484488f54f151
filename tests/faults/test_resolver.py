"""Channels under load while endpoints, and etcd itself, come and go: no call may fail."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import pytest
from harness import READER, TIMEOUT, Etcd, wait_until
from harness.backends import Backend, Backends, method
from harness.load import aio_load, in_loop, load
from harness.resources import descriptors, resident
from harness.watcher import stored

from etcdnaming import Endpoint, EndpointManager, Registration, Update, aio, insecure_channel
from etcdnaming.etcd import Client
from etcdnaming.resolver.channel import Channel

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SERVERS = 20
SERVE = Path(__file__).parent.parent / "harness" / "serve.py"


@pytest.fixture
def backends() -> Iterator[list[Backend]]:
    """Start servers that listen on all of 127/8, so that each has hundreds of addresses."""
    with closing(Backends()) as backends:
        yield [backends("0.0.0.0:0") for _ in range(SERVERS)]


def test_no_call_fails_while_a_hundred_endpoints_come_and_go(
    client: Client, backends: list[Backend]
) -> None:
    """Each endpoint is registered for a moment, beside two that stay."""
    manager = EndpointManager(client, "svc")
    addrs = [f"127.0.{n}.1:{each.port}" for n in range(5) for each in backends]
    manager.update([Update.add(f"svc/{n}", Endpoint(addrs[n])) for n in (0, 1)])
    with insecure_channel("svc", client) as channel:
        wait_until(lambda: len(channel.endpoints) == 2)
        with load(channel, unary=4, streams=40) as outcome:
            for n, addr in enumerate(addrs[2:], 2):
                manager.add_endpoint(f"svc/{n}", Endpoint(addr))
                time.sleep(0.1)
                if n >= 5:
                    manager.delete_endpoint(f"svc/{n - 3}")
    assert outcome.errors == []
    assert outcome.streams >= 40


def test_new_endpoint_gets_its_first_call_soon(client: Client, backends: list[Backend]) -> None:
    """The median delay after the write to etcd is 0.04 s on an idle machine."""
    manager = EndpointManager(client, "svc")
    manager.add_endpoint("svc/0", Endpoint(f"127.0.0.1:{backends[0].port}"))
    delays = []
    with insecure_channel("svc", client) as channel:
        wait_until(lambda: len(channel.endpoints) == 1)
        with load(channel) as outcome:
            for backend in backends[1:]:
                time.sleep(0.2)
                began = time.monotonic()
                manager.add_endpoint("svc/1", Endpoint(f"127.0.0.1:{backend.port}"))
                assert backend.first.wait(TIMEOUT)
                delays.append(time.monotonic() - began)
    assert outcome.errors == []
    assert median(delays) < 0.5


def test_no_call_fails_while_etcd_is_down_frozen_compacted_or_wiped(
    own_etcd: Callable[[], Etcd], backends: list[Backend]
) -> None:
    """The registrations of the endpoints recover after the wipe."""
    etcd = own_etcd()

    def wait_for_etcd() -> None:
        wait_until(lambda: channel.age == 0 and twin.channel.age == 0, timeout=60)

    with (
        registered(etcd, backends[:4]),
        Client([etcd.endpoint]) as client,
        insecure_channel("svc", client) as channel,
        Twin(client) as twin,
        load(channel, streams=4) as outcome,
    ):
        wait_until(lambda: len(channel.endpoints) == len(twin.channel.endpoints) == 4)
        etcd.stop()
        time.sleep(60)
        assert (channel.age or 0) > 55
        assert (twin.channel.age or 0) > 55
        etcd.start()
        wait_for_etcd()
        etcd.freeze()
        time.sleep(20)
        assert channel.age
        assert twin.channel.age
        etcd.thaw()
        wait_for_etcd()
        etcd.ctl("compact", str(etcd.revision()))
        etcd.wipe()
        wait_for_etcd()
        wait_until(lambda: len(etcd.entries("svc/")) == 4)
        assert len(channel.endpoints) == len(twin.channel.endpoints) == 4
        time.sleep(5)
    assert outcome.errors == []
    assert twin.outcome.errors == []
    assert outcome.calls > 1000
    assert twin.outcome.calls > 1000


@contextmanager
def registered(etcd: Etcd, backends: list[Backend]) -> Iterator[None]:
    """Keep *backends* registered, each by its own client, with leases longer than the outages."""
    with ExitStack() as stack:
        for backend in backends:
            client = stack.enter_context(Client([etcd.endpoint]))
            endpoint = Endpoint(f"127.0.0.1:{backend.port}")
            key = f"svc/{backend.port}"
            stack.enter_context(Registration(client, {key: endpoint}, ttl=120))
        yield


class Twin:
    """An asyncio channel under load, in its own loop and thread, while the block runs."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Twin:
        self._thread.start()
        assert self._ready.wait(TIMEOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @in_loop
    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with (
            aio.insecure_channel("svc", self._client) as self.channel,
            aio_load(self.channel, streams=4) as self.outcome,
        ):
            self._ready.set()
            await self._stop.wait()


def test_channel_keeps_its_endpoints_when_its_role_is_revoked(
    auth_etcd: Callable[[], Etcd], backends: list[Backend], caplog: pytest.LogCaptureFixture
) -> None:
    """A warning is logged, and new endpoints are used when the role is granted again."""
    etcd = auth_etcd()
    user, _, password = READER.partition(":")
    old, new = (f"127.0.0.1:{each.port}" for each in backends[:2])
    etcd.put("svc/1", stored(old))
    with (
        Client([etcd.endpoint], user=user, password=password) as client,
        insecure_channel("svc", client) as channel,
    ):
        wait_until(lambda: channel.age == 0)
        with load(channel) as outcome:
            etcd.ctl("role", "revoke-permission", "reader", "svc/", "--prefix")
            etcd.kill()
            etcd.start()
            wait_until(lambda: "permission denied" in caplog.text, timeout=60)
            etcd.put("svc/2", stored(new))
            time.sleep(1)
            assert channel.age
            assert channel.endpoints == (Endpoint(old),)
            etcd.ctl("role", "grant-permission", "reader", "read", "svc/", "--prefix")
            wait_until(lambda: channel.endpoints == (Endpoint(old), Endpoint(new)))
            wait_until(lambda: channel.age == 0)
        assert outcome.errors == []


@in_loop
async def test_no_call_of_asyncio_fails_while_endpoints_come_and_go(
    client: Client, backends: list[Backend]
) -> None:
    """The synchronous channel has the same test."""
    manager = EndpointManager(client, "svc")
    addrs = [f"127.0.{n}.1:{each.port}" for n in range(3) for each in backends]
    await asyncio.to_thread(manager.add_endpoint, "svc/0", Endpoint(addrs[0]))
    async with (
        aio.insecure_channel("svc", client) as channel,
        aio_load(channel, unary=4, streams=20) as outcome,
    ):
        for n, addr in enumerate(addrs[1:], 1):
            await asyncio.to_thread(manager.add_endpoint, f"svc/{n}", Endpoint(addr))
            await asyncio.sleep(0.1)
            if n >= 5:
                await asyncio.to_thread(manager.delete_endpoint, f"svc/{n - 3}")
    assert outcome.errors == []
    assert outcome.streams >= 20


def test_change_among_a_thousand_endpoints_costs_at_most_three_times_the_dialling(
    client: Client,
) -> None:
    """gRPC alone, dialling as many addresses, is the measure for the CPU time."""
    pipe = subprocess.PIPE
    command = [sys.executable, str(SERVE), str(SERVERS)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as servers:
        assert servers.stdout
        ports = servers.stdout.readline().split()
        addrs = [f"127.0.{n}.1:{port}" for n in range(50) for port in ports]
        manager = EndpointManager(client, "svc")
        for begin in range(0, 1000, 100):
            manager.update(
                [Update.add(f"svc/{n}", Endpoint(addrs[n])) for n in range(begin, begin + 100)]
            )
        least = max(cost_of_dialling(addrs) for _ in range(2))
        with insecure_channel("svc", client) as channel:
            echo = channel.unary_unary(method("Echo"))
            assert echo(b"x", timeout=30) == b"x"
            wait_until(lambda: len(channel.endpoints) == 1000)
            time.sleep(5)
            began = time.process_time()
            for _ in range(3):
                manager.delete_endpoint("svc/7")
                wait_until(lambda: len(channel.endpoints) == 999, timeout=30)
                manager.add_endpoint("svc/7", Endpoint(addrs[7]))
                wait_until(lambda: len(channel.endpoints) == 1000, timeout=30)
                assert echo(b"x", timeout=30) == b"x"
            time.sleep(2)  # the last of the old connections
            assert (time.process_time() - began) / 6 < 3 * least


def cost_of_dialling(addrs: Sequence[str]) -> float:
    """Return the CPU seconds that gRPC alone needs to connect to *addrs*."""
    began = time.process_time()
    options = [("grpc.lb_policy_name", "round_robin"), ("grpc.default_authority", "svc")]
    with grpc.insecure_channel(f"ipv4:{','.join(addrs)}", options) as channel:
        echo: Any = channel.unary_unary(method("Echo"))
        assert echo(b"x", wait_for_ready=True, timeout=30) == b"x"
        time.sleep(3)  # the other connections
    time.sleep(1)
    return time.process_time() - began


def test_two_thousand_replacements_leak_no_memory_descriptor_or_thread(
    client: Client, backends: list[Backend]
) -> None:
    """Each replacement connects a new set of endpoints."""
    manager = EndpointManager(client, "svc")
    manager.add_endpoint("svc/0", Endpoint(f"127.0.0.1:{backends[0].port}"))
    with insecure_channel("svc", client) as channel:
        echo = channel.unary_unary(method("Echo"))
        held = []
        for n in range(2000):
            manager.add_endpoint("svc/1", Endpoint(f"127.0.0.1:{backends[1 + n % 9].port}"))
            wanted = n
            wait_until(lambda: _last_port(channel) == backends[1 + wanted % 9].port)  # noqa: B023
            echo(b"", timeout=10)
            if n in (500, 1999):
                time.sleep(2)
                held.append(_held())
    (memory, descriptors, threads), last = held
    assert last[0] < memory + 5_000
    assert last[1] <= descriptors + 5
    assert last[2] <= threads + 3


@in_loop
async def test_replacements_of_asyncio_leak_no_memory_descriptor_or_thread(
    client: Client, backends: list[Backend]
) -> None:
    """The synchronous channel has the same test."""
    manager = EndpointManager(client, "svc")
    await asyncio.to_thread(manager.add_endpoint, "svc/0", Endpoint(_addr(backends[0])))
    async with aio.insecure_channel("svc", client) as channel:
        echo = channel.unary_unary(method("Echo"))
        held = []
        for n in range(500):
            endpoint = Endpoint(_addr(backends[1 + n % 9]))
            await asyncio.to_thread(manager.add_endpoint, "svc/1", endpoint)
            wanted = endpoint
            await asyncio.to_thread(wait_until, lambda: wanted in channel.endpoints)  # noqa: B023
            await echo(b"", timeout=10)
            if n in (100, 499):
                await asyncio.sleep(2)
                held.append(_held())
    (memory, descriptors, threads), last = held
    assert last[0] < memory + 5_000
    assert last[1] <= descriptors + 5
    assert last[2] <= threads + 3


def _addr(backend: Backend) -> str:
    return f"127.0.0.1:{backend.port}"


def _last_port(channel: Channel) -> int:
    return int(channel.endpoints[-1].addr.rpartition(":")[2]) if channel.endpoints else 0


def _held() -> tuple[int, int, int]:
    return resident() // 1024, descriptors(), threading.active_count()
