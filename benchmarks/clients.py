"""
Our library against other clients: one list of many endpoints, and adds one after another.

    python benchmarks/clients.py [ROUNDS [ENDPOINTS [ADDS]]]        (needs Go)

Only Go's endpoints.Manager is promised to be matched. grpcio alone, which decodes nothing and
keeps no lease, is the floor for us; python-etcd3 and aetcd are there for comparison.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from measuring import Bound, Row, Told, Took, fill, go_program, in_turns, python_with, record

from etcdnaming.sandbox import Sandbox

PROGRAMS = Path(__file__).parent / "told"


def main(rounds: int = 7, endpoints: int = 100_000, adds: int = 1000) -> int:
    with Sandbox() as etcd, ExitStack() as stack:
        fill(etcd.endpoint, endpoints)
        clients = [
            stack.enter_context(Told([*command, etcd.endpoint])) for command in commands().values()
        ]
        measure = partial(measured, rounds, clients)
        listing = measure("list", f"list {endpoints:,} endpoints", Bound(most=0.7))
        adding = measure(f"add {adds}", "`add_endpoint` one after another", Bound(least=0.7))
    return max(listing, adding)


def commands() -> dict[str, list[str | Path]]:
    """Return each client's name and program; the first is ours, the second the one to match."""
    etcd3 = python_with("etcd3", "etcd3==0.12.0", "protobuf<3.21", "setuptools<81")
    aetcd = python_with("aetcd", "aetcd==1.0.0")
    return {
        "etcdnaming": [sys.executable, PROGRAMS / "ours.py"],
        "Go's Manager": [go_program("manager")],
        "bare grpcio, nothing decoded": [sys.executable, PROGRAMS / "bare.py"],
        "python-etcd3": [etcd3, PROGRAMS / "python_etcd3.py"],
        "aetcd": [aetcd, PROGRAMS / "aetcd_client.py"],
    }


def measured(
    rounds: int, clients: Sequence[Told], line: str, work: str, bound: Bound
) -> int:
    """Record what each of *clients* took for *line*; the first two are held to *bound*."""
    for client in clients:
        client(line)  # connects, and is not measured
    took = in_turns(rounds, *(partial(client, line) for client in clients))
    ours, *others = took
    names = list(commands())[1:]
    for name, theirs in zip(names, others, strict=True):
        promised = bound if theirs is others[0] else Bound()
        ...
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
