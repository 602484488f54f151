"""
Measure ``xds-bridge``, against go-control-plane's caches: CPU, bytes and memory.

    python benchmarks/bridge.py [ROUNDS [STREAMS]]        (needs Go)

All three serve the same endpoints to the same clients, which are a process of their own, with a
connection for each stream. What etcd costs us, the watch, is among our CPU time. `SnapshotCache` is
what most people use; `LinearCache` sends as little as we do.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from measuring import Bound, Row, XdsClients, go_program, in_turns, ours, record, running, usage_of

from etcdnaming import Client, Endpoint, EndpointManager, Update
from etcdnaming.sandbox import Sandbox, free_port

# CPU is compared, and so are bytes and memory; how long it takes depends on the clients, too.
SNAPSHOT, LINEAR = "go-control-plane's SnapshotCache", "go-control-plane's LinearCache"
BATCH = 100
CHANGES = 6
"""A round."""

MANY = 100_000
"""Endpoints that are read before the bridge is ready."""


class Server(NamedTuple):
    """A running server; *change* moves an endpoint of ``svc/0``."""

    pid: int
    address: str
    change: Callable[[], object]


Started = Callable[[], AbstractContextManager[Server]]


class Connected(NamedTuple):
    """What it cost a server that all clients connected: seconds of CPU, and MiB."""

    cpu: float
    memory: float


class Changed(NamedTuple):
    """What it cost a server to report a change: seconds of CPU, the seconds it took, and bytes."""

    cpu: float
    seconds: float
    bytes: int


def main(rounds: int = 3, streams: int = 1000) -> int:
    return max(
        one_service(rounds, streams),
        a_service_each(rounds, streams),
        ready(rounds),
    )


def one_service(rounds: int, streams: int, endpoints: int = 100) -> int:
    """Record what many clients of one service cost."""
    connected, changed = measured(rounds, streams, 1, endpoints)
    work = f"bridge: {streams:,} streams × {endpoints} endpoints, a change, CPU"  # noqa: RUF001 - the sign of the promise
    code = compared(work, changed, "cpu", milliseconds, Bound(most=1.5))
    return max(code, *(connecting(streams, connected)))


def a_service_each(rounds: int, streams: int) -> int:
    """Record what clients of a service each cost."""
    _, changed = measured(rounds, streams, streams, 1)
    work = f"bridge: one change among {streams:,} services with a stream each"
    return max(
        compared(f"{work}, CPU", changed, "cpu", milliseconds, Bound(most=0.05)),
        compared(f"{work}, bytes", changed, "bytes", "{:,.0f} B".format, Bound(most=0.05)),
    )


def milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms"


def connecting(streams: int, connected: dict[str, list[Connected]]) -> Iterator[int]:
    """Record what it costs that all clients connect at once."""
    cpu = {name: statistics.median(each.cpu for each in found) for name, found in connected.items()}
    kib = {
        name: 1024 / streams * statistics.median(each.memory for each in found)
        for name, found in connected.items()
    }
    for peer in (SNAPSHOT, LINEAR):
        yield record(
            Row(
                f"bridge: {streams:,} clients connect at once, CPU",
                f"{cpu['ours']:.2f} s",
                f"{peer}: {cpu[peer]:.2f} s",
                cpu["ours"],
                Bound(most=0.8 * streams / 1000, unit="s") if peer == SNAPSHOT else Bound(unit="s"),
            )
        )
        yield record(
            Row(
                f"bridge: memory of each of {streams:,} streams",
                f"{kib['ours']:.0f} KiB",
                f"{peer}: {kib[peer]:.0f} KiB",
                kib["ours"],
                Bound(most=55, unit="KiB") if peer == SNAPSHOT else Bound(unit="KiB"),
            )
        )


def compared(
    work: str,
    changed: dict[str, list[Changed]],
    member: str,
    spelled: Callable[[float], str],
    bound: Bound,
) -> int:
    """Record the medians of one *member* of what changes cost."""
    found = {
        name: statistics.median(getattr(each, member) for each in costs)
        for name, costs in changed.items()
    }
    return max(
        record(
            Row(
                work,
                spelled(found["ours"]),
                f"{peer}: {spelled(found[peer])}",
                found["ours"] / found[peer],
                bound if peer == SNAPSHOT else Bound(),
            )
        )
        for peer in (SNAPSHOT, LINEAR)
    )


def measured(
    rounds: int, streams: int, services: int, endpoints: int
) -> tuple[dict[str, list[Connected]], dict[str, list[Changed]]]:
    """Return what connecting and changes cost each server."""
    servers: dict[str, Started] = {
        "ours": partial(bridge, services, endpoints),
        SNAPSHOT: partial(control_plane, "snapshot", services, endpoints),
        LINEAR: partial(control_plane, "linear", services, endpoints),
    }
    expected = {"ours": streams // services, SNAPSHOT: streams, LINEAR: streams // services}
    connected: dict[str, list[Connected]] = {name: [] for name in servers}
    changed: dict[str, list[Changed]] = {name: [] for name in servers}
    for _ in range(rounds):
        with ExitStack() as stack:
            changes = []
            for name, started in servers.items():
                server = stack.enter_context(started())
                clients = stack.enter_context(XdsClients(server.address, streams, services))
                connected[name].append(connect(server, clients))
                changes.append(partial(change, server, clients, expected[name]))
            took = in_turns(CHANGES, *changes)
            for name, found in zip(servers, took, strict=True):
                changed[name] += found
    return connected, changed


def connect(server: Server, clients: XdsClients) -> Connected:
    before = usage_of(server.pid)
    clients.connect()
    used = usage_of(server.pid).since(before)
    return Connected(used.cpu, used.memory)


def change(server: Server, clients: XdsClients, expected: int) -> Changed:
    before, began = usage_of(server.pid), time.monotonic_ns()
    received = clients.expect(expected, server.change)
    cpu = usage_of(server.pid).since(before).cpu
    return Changed(cpu, (received.at - began) / 1e9, received.bytes)


@contextmanager
def bridge(services: int, endpoints: int) -> Iterator[Server]:
    """Run our bridge."""
    with Sandbox() as etcd, Client([etcd.endpoint]) as client:
        manager = EndpointManager(client, "svc")
        fill(manager, services, endpoints)
        address = f"127.0.0.1:{free_port()}"
        command = [ours(), "xds-bridge", "svc", "-w", "json", "--listen", address]
        changed = 0

        def change() -> None:
            nonlocal changed
            changed += 1
            manager.add_endpoint("svc/0/e0", Endpoint(f"10.0.0.0:{10_000 + changed}"))

        with running(command, etcd.environment(os.environ), ready="ready") as pid:
            yield Server(pid, address, change)


@contextmanager
def control_plane(kind: str, services: int, endpoints: int) -> Iterator[Server]:
    """Run go-control-plane."""
    command = [str(go_program("xds")), "serve", kind, str(services), str(endpoints)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
        stdin, stdout = process.stdin, process.stdout
        if not stdin or not stdout:
            raise AssertionError("both are pipes")
        yield Server(process.pid, stdout.readline().strip(), lambda: print("change", file=stdin))


def fill(manager: EndpointManager, services: int, endpoints: int) -> None:
    """Store so many endpoints of each service."""
    updates = [
        Update.add(f"svc/{service}/e{n}", Endpoint(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}:8080"))
        for service in range(services)
        for n in range(endpoints)
    ]
    for first in range(0, len(updates), BATCH):
        manager.update(updates[first : first + BATCH])


def ready(rounds: int) -> int:
    """Record what it costs to read many endpoints before the first client is answered."""
    with Sandbox() as etcd, Client([etcd.endpoint]) as client:
        fill(EndpointManager(client, "svc"), MANY // 100, 100)
        environment, found = etcd.environment(os.environ), []
        for _ in range(rounds):
            command = [ours(), "xds-bridge", "svc", "-w", "json", "--listen"]
            with running([*command, f"127.0.0.1:{free_port()}"], environment, ready="ready") as pid:
                found.append((cpu_of(pid), usage_of(pid).memory))
    cpu, memory = map(statistics.median, zip(*found, strict=True))
    return record(
        Row(
            f"bridge: {MANY:,} endpoints, CPU until it is ready",
            f"{cpu:.2f} s, {memory:.0f} MiB",
            "nothing",
            cpu,
            Bound(most=1.5, unit="s"),
        )
    )


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU of the process *pid*, with its threads that have ended."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
