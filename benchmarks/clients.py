"""
Compare our library with other clients: list many endpoints, and add some one after another.

    python benchmarks/clients.py [ROUNDS [ENDPOINTS [ADDS]]]        (needs Go)

The bound of a list is relative to Go's endpoints.Manager, that of an add to grpcio alone with the
same transaction, which is the floor for our library. grpcio that decodes nothing and keeps no lease
is the floor for Python. python-etcd3 and aetcd are there for comparison.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

from measuring import (
    Bound,
    PeerProcess,
    Row,
    Took,
    fill,
    go_program,
    in_turns,
    peer_program,
    python_with,
    record,
)

from etcdnaming.sandbox import Sandbox

GO = "Go's Manager"
TXN = "grpcio, the same transaction"


class Client(NamedTuple):
    """A running client and its name."""

    name: str
    process: PeerProcess


def main(rounds: int = 9, endpoints: int = 100_000, adds: int = 1000) -> int:
    with Sandbox() as etcd, ExitStack() as stack:
        fill(etcd.endpoint, endpoints)
        clients = [
            Client(name, stack.enter_context(PeerProcess([*command, etcd.endpoint])))
            for name, command in commands().items()
        ]
        return max(
            listing(rounds, endpoints, [each for each in clients if each.name != TXN]),
            adding(rounds, adds, clients),
        )


def commands() -> dict[str, list[str]]:
    """Return the command of each client, ours first."""
    etcd3 = python_with("etcd3", "etcd3==0.12.0", "protobuf<3.21", "setuptools<81")
    aetcd = python_with("aetcd", "aetcd==1.0.0")
    return {
        "etcdnaming": [sys.executable, peer_program("ours.py")],
        GO: [str(go_program("manager"))],
        "grpcio, undecoded": [sys.executable, peer_program("bare.py"), "put"],
        TXN: [sys.executable, peer_program("bare.py"), "txn"],
        "python-etcd3": [etcd3, peer_program("python_etcd3.py")],
        "aetcd": [aetcd, peer_program("aetcd_client.py")],
    }


def listing(rounds: int, endpoints: int, clients: Sequence[Client]) -> int:
    """Record how long each of *clients* takes to list the endpoints."""
    ours, *others = each_takes(rounds, "list", clients)

    def spelled(took: Took) -> str:
        return f"{took.seconds:.2f} s, CPU {took.cpu:.2f} s"

    return max(
        record(
            Row(
                f"list {endpoints:,} endpoints",
                spelled(ours),
                f"{client.name}: {spelled(theirs)}",
                ours.seconds / theirs.seconds,
                Bound(most=0.6) if client.name == GO else Bound(),
            )
        )
        for client, theirs in zip(clients[1:], others, strict=True)
    )


def adding(rounds: int, adds: int, clients: Sequence[Client]) -> int:
    """Record how many endpoints per second each of *clients* adds."""
    ours, *others = each_takes(rounds, f"add {adds}", clients)

    def spelled(took: Took) -> str:
        return (
            f"{took.number / took.seconds:,.0f}/s, CPU {1e6 * took.cpu / took.number:.0f} µs each"
        )

    return max(
        record(
            Row(
                "`add_endpoint` one after another",
                spelled(ours),
                f"{client.name}: {spelled(theirs)}",
                theirs.seconds / ours.seconds,
                Bound(least=0.95) if client.name == TXN else Bound(),
            )
        )
        for client, theirs in zip(clients[1:], others, strict=True)
    )


def each_takes(rounds: int, line: str, clients: Sequence[Client]) -> list[Took]:
    """Return the median results of each client for the command *line*."""
    for client in clients:
        client.process(line)  # connects, and warms up
    took = in_turns(rounds, *(partial(client.process, line) for client in clients))
    return [
        Took(
            each[0].number,
            statistics.median(took.seconds for took in each),
            statistics.median(took.cpu for took in each),
        )
        for each in took
    ]


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
