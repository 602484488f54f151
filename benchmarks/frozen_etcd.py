"""
Measure how soon many registrars are registered again after etcd has stood still.

    python benchmarks/frozen_etcd.py [REGISTRARS [SECONDS]]

Each has a client and a lease of its own, all in one process. etcd stands still (SIGSTOP) for longer
than the leases last, so that all of them have expired when it goes on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import ExitStack

from measuring import Bound, Row, record, running_etcd

from etcdnaming import Client, Endpoint, Registration, RegistrationEvent

TTL = 3
PATIENCE = 60


def main(registrars: int = 200, seconds: int = 12) -> int:
    regained: list[float] = []
    all_back = threading.Event()

    def note(event: RegistrationEvent) -> None:
        if event.kind == "regained":
            regained.append(time.monotonic())
            if len(regained) == registrars:
                all_back.set()

    with running_etcd() as etcd, ExitStack() as stack:
        for n in range(registrars):
            client = stack.enter_context(Client([etcd.endpoint]))
            keys = {f"svc/e{n}": Endpoint(f"10.0.0.1:{n + 1}")}
            stack.enter_context(Registration(client, keys, ttl=TTL, on_state=note))
        time.sleep(2 * TTL)
        os.kill(etcd.pid, signal.SIGSTOP)
        time.sleep(seconds)
        began, busy = time.monotonic(), time.process_time()
        os.kill(etcd.pid, signal.SIGCONT)
        all_back.wait(PATIENCE)
        cpu = time.process_time() - busy
    if not all_back.is_set():
        raise TimeoutError(f"{len(regained)} of {registrars} are back")
    late = sorted(at - began for at in regained)
    return record(
        Row(
            f"{registrars} registrars after {seconds} s without etcd: all are back",
            f"{late[-1]:.1f} s, half of them after {late[len(late) // 2]:.1f} s, CPU {cpu:.1f} s",
            "nothing",
            late[-1],
            Bound(most=6, unit="s"),
        )
    )


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
