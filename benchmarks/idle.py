"""
Measure ``lease-register`` and ``watch`` while nothing happens, with TLS and without.

    python benchmarks/idle.py [SECONDS]

``lease-register`` is compared with grpcio with a channel and one stream, and each of both over TLS
with itself without. All run at the same time, on one etcd.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from measuring import (
    Bound,
    Row,
    Usage,
    ours,
    peer_program,
    record,
    running,
    running_etcd,
    usage_of,
)

from etcdnaming.etcd import rpc

MESSAGES = str(Path(rpc.__file__).parent)
SETTLING = 5

COMMANDS = {
    "lease-register": ["lease-register", "svc/", "--addr", "10.0.0.1:80", "-w", "json"],
    "watch": ["watch", "svc", "-w", "json"],
}
READY = {"lease-register": "registered", "watch": "SYNCED"}

GRPCIO = "grpcio with one stream"


def main(seconds: int = 60) -> int:
    used, memory = measured(seconds)
    return max(
        record(
            Row(
                "`lease-register` idle: memory",
                f"{memory['lease-register']:.1f} MiB",
                f"{GRPCIO}: {memory[GRPCIO]:.1f} MiB",
                memory["lease-register"] / memory[GRPCIO],
                Bound(most=0.95),
            )
        ),
        record(
            Row(
                "`lease-register` idle: CPU",
                spelled(used["lease-register"]),
                f"{GRPCIO}: {spelled(used[GRPCIO])}",
                100 * used["lease-register"].cpu / used["lease-register"].at,
                Bound(most=0.1, unit="% of a core"),
            )
        ),
        *(record(over_tls(name, used, memory)) for name in COMMANDS),
    )


def over_tls(name: str, used: dict[str, Usage], memory: dict[str, float]) -> Row:
    """Return the row that compares *name* over TLS with *name* without."""

    def with_memory(name: str) -> str:
        return f"{spelled(used[name])}, {memory[name]:.1f} MiB"

    plain, secure = used[name], used[f"{name} over TLS"]
    return Row(
        f"`{name}` idle over TLS: wake-ups",
        with_memory(f"{name} over TLS"),
        f"the same without TLS: {with_memory(name)}",
        (secure.wake_ups / secure.at) / (plain.wake_ups / plain.at),
        Bound(most=1.2),
    )


def measured(seconds: int) -> tuple[dict[str, Usage], dict[str, float]]:
    """Return what each process used in so many *seconds*, and its memory at the end in MiB."""
    with running_etcd(tls=True) as etcd, ExitStack() as stack:
        pids = {}
        for name, arguments in COMMANDS.items():
            for tls in (False, True):
                environment = etcd.environment(os.environ, tls=tls)
                # Targets of their own: two that register the same key would not be idle.
                target = "secure" if tls else "plain"
                command = [ours(), *(each.replace("svc", target) for each in arguments)]
                process = running(command, environment, ready=READY[name])
                pids[f"{name} over TLS" if tls else name] = stack.enter_context(process)
        bare = [sys.executable, peer_program("bare_lease.py"), etcd.endpoint, MESSAGES]
        pids[GRPCIO] = stack.enter_context(running(bare, ready="alive"))
        time.sleep(SETTLING)
        before = {name: usage_of(pid) for name, pid in pids.items()}
        time.sleep(seconds)
        after = {name: usage_of(pid) for name, pid in pids.items()}
    used = {name: usage.since(before[name]) for name, usage in after.items()}
    return used, {name: usage.memory for name, usage in after.items()}


def spelled(used: Usage) -> str:
    cpu, wake_ups = 100 * used.cpu / used.at, used.wake_ups / used.at
    return f"{cpu:.3f} % of a core, {wake_ups:.1f} wake-ups/s in {used.at:.0f} s"


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
