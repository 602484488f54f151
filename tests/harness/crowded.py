"""
A program at work while no thread can be started: ``python crowded.py ETCD``.

It registers ``svc/e1``, watches ``svc`` and has a channel to it. Commands are lines on stdin, each
answered by a line of JSON: ``full`` fills the process table, as far as this program is concerned,
``room`` ends that, and ``look`` only tells what there is.

The limit is the kernel's, RLIMIT_NPROC. It does not hold for root, so root becomes another user
once everything is imported and at work.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from typing import Any

from etcdnaming import Client, Endpoint, EndpointManager, Registration, insecure_channel
from etcdnaming.endpoints.watch import Watch

OTHER_UID = 54321
"""A user that has no other process."""

TTL = 2

_failures = 0
_start = threading.Thread.start


def _counting(self: threading.Thread) -> None:
    global _failures  # noqa: PLW0603 - it counts
    try:
        _start(self)
    except RuntimeError:
        _failures += 1
        raise


def limit(number: int) -> None:
    """Let this user have *number* processes and threads."""
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    resource.setrlimit(resource.RLIMIT_NPROC, (number, hard))


def take(watch: Watch, seen: list[str]) -> None:
    """Note every key that is added."""
    for batch in watch:
        seen.extend(each.key for each in batch.changes if each.endpoint)


def main(endpoint: str) -> None:
    """Be at work, and answer."""
    seen: list[str] = []
    lost: list[Any] = []
    room = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    threading.Thread.start = _counting  # type: ignore[method-assign]
    with Client([endpoint], dial_timeout=1) as client, insecure_channel("svc", client) as channel:
        watch = EndpointManager(client, "svc").watch()
        threading.Thread(target=take, args=(watch, seen), daemon=True).start()
        held = {"svc/e1": Endpoint("10.0.0.1:80")}
        registration = Registration(client, held, ttl=TTL, on_lost=lost.append)
        registration.start()
        for line in sys.stdin:
            if line == "full\n":
                if os.getuid() == 0:
                    os.setuid(OTHER_UID)
                limit(0)
            elif line == "room\n":
                limit(room)
            found = {
                "registered": registration.registered,
                "lost": len(lost),
                "seen": seen,
                "endpoints": [each.addr for each in channel.endpoints],
                "failures": _failures,
            }
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()
        registration.close()


main(sys.argv[1])
