"""
Measure the memory and the keep-alive streams of a thousand registrations in one process.

    python benchmarks/many_registrations.py [COUNT]
"""

from __future__ import annotations

import sys
import time
from typing import NamedTuple

from measuring import Bound, Row, peer_program, record, running, streams, usage_of

from etcdnaming.sandbox import Sandbox


class Held(NamedTuple):
    """The resources that some registrations use."""

    memory: float
    streams: int


def main(count: int = 1000) -> int:
    one, many = held(1), held(count)
    memory = Row(
        f"{count:,} registrations in one process: memory",
        f"{many.memory:.0f} MiB",
        f"one registration: {one.memory:.0f} MiB",
        many.memory - one.memory,
        Bound(most=10, unit="MiB more"),
    )
    opened = Row(
        f"{count:,} registrations in one process: keep-alive streams",
        str(many.streams),
        f"one registration: {one.streams}",
        many.streams,
        Bound(most=1, unit="stream"),
    )
    return max(record(memory), record(opened))


def held(count: int) -> Held:
    """Return the resources that *count* registrations use after two rounds of keep-alive."""
    with Sandbox() as etcd:
        command = [sys.executable, peer_program("hold.py"), etcd.endpoint, str(count)]
        with running(command, ready="registered") as pid:
            time.sleep(7)
            return Held(usage_of(pid).memory, streams(etcd.endpoint, "LeaseKeepAlive"))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
