"""
Measure an idle ``lease-register``, against grpcio with a channel and one stream.

    python benchmarks/idle.py [SECONDS]
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from measuring import Bound, Row, Usage, ours, peer_program, record, running, usage_of

from etcdnaming.etcd import rpc
from etcdnaming.sandbox import Sandbox

MESSAGES = str(Path(rpc.__file__).parent)
SETTLING = 5


def main(seconds: int = 60) -> int:
    with Sandbox() as etcd, ExitStack() as stack:
        environment = etcd.environment(os.environ)
        register = [ours(), "lease-register", "svc/e1", "--addr", "10.0.0.1:80", "-w", "json"]
        bare = [sys.executable, peer_program("bare_lease.py"), etcd.endpoint, MESSAGES]
        pids = (
            stack.enter_context(running(register, environment, ready="registered")),
            stack.enter_context(running(bare, ready="alive")),
        )
        time.sleep(SETTLING)
        before = [usage_of(pid) for pid in pids]
        time.sleep(seconds)
        after = [usage_of(pid) for pid in pids]
    used = [now.since(then) for now, then in zip(after, before, strict=True)]
    memory = Row(
        "`lease-register` idle: memory",
        f"{after[0].memory:.0f} MiB",
        f"grpcio with one stream: {after[1].memory:.0f} MiB",
        after[0].memory / after[1].memory,
        Bound(most=0.95),
    )
    cpu = Row(
        "`lease-register` idle: CPU",
        spelled(used[0]),
        f"grpcio with one stream: {spelled(used[1])}",
        100 * used[0].cpu / used[0].at,
        Bound(most=0.1, unit="% of a core"),
    )
    return max(record(memory), record(cpu))


def spelled(used: Usage) -> str:
    cpu, wake_ups = 100 * used.cpu / used.at, used.wake_ups / used.at
    return f"{cpu:.3f} % of a core, {wake_ups:.1f} wake-ups/s in {used.at:.0f} s"


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
