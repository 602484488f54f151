"""
A running program while no thread can be started: ``python crowded.py ETCD``.

It registers ``svc/e1``, watches ``svc`` and has a channel to it. It reads commands from stdin, one
per line, and answers each with a line of JSON. ``full`` makes the kernel refuse new threads,
``room`` allows them again, and ``look`` only prints the state.

The limit is RLIMIT_NPROC of the kernel. It does not apply to root, so root changes to another user
once everything is imported and running.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading

from etcdnaming import (
    Client,
    Endpoint,
    EndpointManager,
    Registration,
    RegistrationEvent,
    insecure_channel,
)
from etcdnaming.endpoints.watch import Watch

OTHER_UID = 54321
"""A user that has no other process."""

TTL = 2

_failures = 0
_start = threading.Thread.start


def _counting(self: threading.Thread) -> None:
    global _failures  # noqa: PLW0603 - a counter
    try:
        _start(self)
    except RuntimeError:
        _failures += 1
        raise


def limit(number: int) -> None:
    """Allow this user *number* processes and threads."""
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    resource.setrlimit(resource.RLIMIT_NPROC, (number, hard))


def take(watch: Watch, seen: list[str]) -> None:
    """Append every key that is added."""
    for batch in watch:
        seen.extend(each.key for each in batch.changes if each.endpoint)


def main(endpoint: str) -> None:
    """Start the watch, the channel and the registration, and answer the commands."""
    seen: list[str] = []
    events: list[RegistrationEvent] = []
    room = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    threading.Thread.start = _counting  # type: ignore[method-assign]
    with Client([endpoint], dial_timeout=1) as client, insecure_channel("svc", client) as channel:
        watch = EndpointManager(client, "svc").watch()
        threading.Thread(target=take, args=(watch, seen), daemon=True).start()
        held = {"svc/e1": Endpoint("10.0.0.1:80")}
        registration = Registration(client, held, ttl=TTL, on_state=events.append)
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
                "lost": sum(each.kind == "lost" for each in events),
                "seen": seen,
                "endpoints": [each.addr for each in channel.endpoints],
                "failures": _failures,
            }
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()
        registration.close()


main(sys.argv[1])
