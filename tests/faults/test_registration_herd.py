"""Very many registrations: after an outage, and in one process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from harness import AT_ONCE, Etcd, wait_until
from harness.registrations import Told

from etcdnaming import Client, Endpoint, Registration, RegistrationEvent

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

MANY = 200


class Grants:
    """When leases were granted, in tenths of a second, counted by all registrations together."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, event: RegistrationEvent) -> None:
        """Take it down."""
        if event.kind == "granted":
            self.times.append(time.monotonic())

    def most_at_once(self) -> int:
        """Return how many fell into the busiest tenth of a second."""
        return max(Counter(int(10 * each) for each in self.times).values())


@pytest.mark.parametrize("clients", [1, 20])
def test_two_hundred_come_back_one_after_another(
    own_etcd: Callable[..., Etcd], clients: int
) -> None:
    """All within 15 seconds after an outage in which every lease has ended."""
    etcd, grants = own_etcd(), Grants()
    with ExitStack() as stack:
        each = [stack.enter_context(Client([etcd.endpoint])) for _ in range(clients)]
        registrations = [
            stack.enter_context(
                Registration(
                    each[n % clients], {f"svc/e{n}": Endpoint(f"10.0.0.1:{n}")}, on_state=grants
                )
            )
            for n in range(MANY)
        ]
        threads = threading.active_count()
        for outage in (40, 20):
            grants.times.clear()
            etcd.freeze()
            time.sleep(outage)
            etcd.thaw()
            back = time.monotonic()
            wait_until(lambda: all(each.registered for each in registrations), timeout=60)
            assert time.monotonic() - back < 15 + AT_ONCE
            assert len(etcd.entries("svc/")) == MANY
            assert len(grants.times) == MANY
            assert grants.most_at_once() < MANY / 2
            wait_until(lambda: len(etcd.leases()) == MANY)
            assert threading.active_count() <= threads + clients  # gRPC's own
    assert etcd.entries("svc/") == []
    assert etcd.leases() == []


MEASURED = """
import sys, threading
from etcdnaming import Client, Endpoint, Registration

def memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

def register(*numbers):
    for n in numbers:
        endpoint = Endpoint(f"10.0.0.1:{n}")
        registrations.append(Registration(client, {f"svc/e{n}": endpoint}, ttl=30))
        registrations[-1].start()

client, registrations = Client([sys.argv[1]]), []
register(0)
one, threads = memory(), threading.active_count()
register(*range(1, 1000))
sys.stdin.readline()
print((memory() - one) // 1024, threading.active_count() - threads, flush=True)
for each in registrations:
    each.close()
"""


def test_a_thousand_share_threads_streams_and_memory(own_etcd: Callable[..., Etcd]) -> None:
    """At most 20 MiB more than one."""
    etcd = own_etcd()
    process = subprocess.Popen(
        [sys.executable, "-c", MEASURED, etcd.endpoint],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: len(etcd.leases()) == 1000, timeout=120)
    time.sleep(15)  # by then each was asked for twice
    assert len(etcd.entries("svc/")) == 1000
    out, _ = process.communicate("\n", timeout=120)
    memory, threads = map(int, out.split())
    assert memory <= 20
    assert threads <= 0
    assert etcd.entries("svc/") == []


def test_one_that_idles_needs_no_time(own_etcd: Callable[..., Etcd]) -> None:
    """But what gRPC needs to look ten times a second at each of its streams."""
    etcd, told = own_etcd(), Told()
    with (
        Client([etcd.endpoint]) as client,
        Registration(client, {"svc/e1": Endpoint("1.2.3.4:80")}, on_state=told),
    ):
        time.sleep(1)
        used = time.process_time()
        time.sleep(30)
        assert time.process_time() - used < 30 * 0.006
        assert told.kinds == ["granted", "registered"]
