"""Channels while endpoints and etcd itself come and go: no call may fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from harness import Etcd, wait_until
from harness.backends import Backend, Backends, method

from etcdnaming import Endpoint, EndpointManager, Update, insecure_channel
from etcdnaming.etcd import Client
from etcdnaming.resolver.channel import Channel

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SERVERS = 20


@pytest.fixture
def backends() -> Iterator[list[Backend]]:
    """Servers to be found, by hundreds of addresses: they listen on all of 127/8."""
    with closing(Backends()) as backends:
        yield [backends("0.0.0.0:0") for _ in range(SERVERS)]


class Load:
    """4 threads of unary calls and 40 streams while the block runs, and what went wrong."""

    def __init__(self, channel: Channel, unary: int = 4, streams: int = 40) -> None:
        self.errors: list[str] = []
        self.calls = self.streams = 0
        self._channel = channel
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._unary) for _ in range(unary)]
        self._threads += [threading.Thread(target=self._stream) for _ in range(streams)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _unary(self) -> None:
        echo = self._channel.unary_unary(method("Echo"))
        while not self._stop.wait(0.002):
            self._try(lambda: echo(b"", timeout=20))
            self.calls += 1

    def _stream(self) -> None:
        count = self._channel.unary_stream(method("Count"))
        while not self._stop.is_set():
            self._try(lambda: self._check(len(list(count(b"20 0.1", timeout=60)))))
            self.streams += 1

    def _check(self, number: int) -> None:
        if number != 20:
            self.errors.append(f"a stream of {number}")

    def _try(self, call: Callable[[], object]) -> None:
        try:
            call()
        except grpc.RpcError as exc:
            self.errors.append(f"{exc.code()} {exc.details()}")


def test_a_hundred_endpoints_come_and_go(client: Client, backends: list[Backend]) -> None:
    """Each of them for a moment, beside two that stay."""
    manager = EndpointManager(client, "svc")
    addrs = [f"127.0.{n}.1:{each.port}" for n in range(5) for each in backends]
    manager.update([Update.add(f"svc/{n}", Endpoint(addrs[n])) for n in (0, 1)])
    with insecure_channel("svc", client) as channel:
        wait_until(lambda: len(channel.endpoints) == 2)
        with Load(channel) as load:
            for n, addr in enumerate(addrs[2:], 2):
                manager.add_endpoint(f"svc/{n}", Endpoint(addr))
                time.sleep(0.1)
                if n >= 5:
                    manager.delete_endpoint(f"svc/{n - 3}")
    assert load.errors == []
    assert load.streams >= 40


def test_etcd_is_stopped_frozen_compacted_and_wiped(
    own_etcd: Callable[[], Etcd], backends: list[Backend]
) -> None:
    """What is known goes on being used."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, insecure_channel("svc", client) as channel:
        manager = EndpointManager(client, "svc")
        register = [
            Update.add(f"svc/{n}", Endpoint(f"127.0.0.1:{backends[n].port}")) for n in range(4)
        ]
        manager.update(register[:2])
        wait_until(lambda: len(channel.endpoints) == 2)
        with Load(channel, streams=4) as load:
            etcd.stop()
            time.sleep(10)
            etcd.start()
            wait_until(lambda: channel.age == 0, timeout=30)
            etcd.freeze()
            time.sleep(20)
            assert channel.age
            etcd.thaw()
            wait_until(lambda: channel.age == 0, timeout=30)
            manager.update(register[2:])
            wait_until(lambda: len(channel.endpoints) == 4)
            etcd.ctl("compact", str(etcd.revision()))
            etcd.wipe()
            wait_until(lambda: channel.age == 0, timeout=60)
            assert len(channel.endpoints) == 4
            manager.update(register)
            time.sleep(5)
        assert load.errors == []


def test_a_thousand_endpoints(client: Client, backends: list[Backend]) -> None:
    """A change costs less than half a second of a core."""
    manager = EndpointManager(client, "svc")
    addrs = [f"127.0.{n}.1:{each.port}" for n in range(50) for each in backends]
    for begin in range(0, 1000, 100):
        manager.update(
            [Update.add(f"svc/{n}", Endpoint(addrs[n])) for n in range(begin, begin + 100)]
        )
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
        # The servers, which take 1,000 connections each time, are in this process, too.
        assert (time.process_time() - began) / 6 < 1.0


def test_two_thousand_swaps_leave_nothing_behind(client: Client, backends: list[Backend]) -> None:
    """No memory, no descriptor, no thread."""
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


def _last_port(channel: Channel) -> int:
    return int(channel.endpoints[-1].addr.rpartition(":")[2]) if channel.endpoints else 0


def _held() -> tuple[int, int, int]:
    status = Path("/proc/self/status").read_text().splitlines()
    memory = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return memory, len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
