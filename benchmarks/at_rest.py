"""
Measure ``lease-register``, ``watch`` and ``xds-bridge`` while they run, idle and under change.

    python benchmarks/at_rest.py [MINUTES]        (needs Go)

Each of the six processes has its own etcd, whose metrics show the messages it has received. The
results are in ``at_rest.md``; they replace those of a run that was as long, so that a short run
keeps the figures of a long one.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from measuring import Usage, XdsClients, circumstances, ours, requests, running, usage_of

from etcdnaming import Client, Endpoint, EndpointManager
from etcdnaming.sandbox import Sandbox, free_port

RESULTS = Path(__file__).parent / "at_rest.md"
SETTLING = 10
CHANGES = 10
"""A second."""

STREAMS = 100
"""Of the bridge, each of which asks for a service of its own, and has to come again each minute."""

COMMANDS = {
    "lease-register": ["lease-register", "svc/e1", "--addr", "10.0.0.1:80", "-w", "json"],
    "watch": ["watch", "svc", "-w", "json"],
    "xds-bridge": ["xds-bridge", "svc", "--max-age", "1m", "-w", "json", "--listen"],
}
READY = {"lease-register": "registered", "watch": "SYNCED", "xds-bridge": "ready"}
KEYS = {
    "lease-register": ["svc/e1"],
    "watch": [f"svc/e{n}" for n in range(1000)],
    "xds-bridge": [f"svc/{n}/e{m}" for m in range(10) for n in range(STREAMS)],
}

HEAD = """\
# What runs for long

`lease-register` (TTL 10 s), `watch` and `xds-bridge` with {streams} streams, each of which has to
connect again after a minute, as `benchmarks/at_rest.py` saw them. Under change, {changes} times a
second an endpoint is given another address: the registered one, or one of a thousand. "Messages"
are what etcd was sent each minute: keep-alives, and reads that prove that nothing was missed.

| process | for | memory then → now | CPU | wake-ups | messages a minute | when and where |
|---|--:|--:|--:|--:|---|---|
"""


class Watched(NamedTuple):
    """A process under observation, and its etcd."""

    name: str
    pid: int
    endpoint: str

    def usage(self) -> Usage:
        """Return the resources that the process has used until now."""
        return usage_of(self.pid)

    def sent(self) -> dict[str, int]:
        """Return the number of messages that etcd has received, without our own writes."""
        return {what: count for what, count in requests(self.endpoint).items() if what != "Txn"}


def main(minutes: float = 5) -> None:
    with ExitStack() as stack:
        watched = [
            started(stack, name, changing=changing)
            for name in COMMANDS
            for changing in (False, True)
        ]
        time.sleep(SETTLING)
        before = [(each.usage(), each.sent()) for each in watched]
        time.sleep(60 * minutes)
        lines = [line(each, *then) for each, then in zip(watched, before, strict=True)]
    kept = [each for each in known() if minutes_of(each) != minutes_of(lines[0])]
    rows = sorted([*lines, *kept], key=minutes_of, reverse=True)
    RESULTS.write_text(HEAD.format(changes=CHANGES, streams=STREAMS) + "\n".join([*rows, ""]))
    print(*lines, sep="\n")


def known() -> list[str]:
    """Return the rows of all runs before this one."""
    return [each for each in RESULTS.read_text().splitlines() if each.startswith("| `")]


def minutes_of(row: str) -> int:
    return int(row.split(" | ")[1].removesuffix(" min"))


def started(stack: ExitStack, name: str, *, changing: bool) -> Watched:
    """Start a process that runs until *stack* is closed."""
    etcd = stack.enter_context(Sandbox())
    command = [ours(), *COMMANDS[name]]
    environment = etcd.environment(os.environ)
    if name == "xds-bridge":
        command.append(f"127.0.0.1:{free_port()}")
    pid = stack.enter_context(running(command, environment, ready=READY[name]))
    if name == "xds-bridge":
        stack.enter_context(XdsClients(command[-1], STREAMS, STREAMS)).connect()
    if changing:
        stack.enter_context(changes(etcd.endpoint, KEYS[name]))
    return Watched(f"`{name}` {'under change' if changing else 'at rest'}", pid, etcd.endpoint)


@contextmanager
def changes(endpoint: str, keys: Sequence[str]) -> Iterator[None]:
    """Change *keys* in turn while the block runs."""
    ended = threading.Event()
    thread = threading.Thread(target=change, args=(endpoint, keys, ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def change(endpoint: str, keys: Sequence[str], ended: threading.Event) -> None:
    with Client([endpoint]) as client:
        manager = EndpointManager(client, "svc")
        for number, key in enumerate(cycle(keys)):
            if ended.wait(1 / CHANGES):
                return
            manager.add_endpoint(key, Endpoint(f"10.0.0.1:{number % 50_000 + 1}"))


def line(watched: Watched, before: Usage, sent_before: dict[str, int]) -> str:
    """Return the row with the resources used and the messages sent since *before*."""
    after = watched.usage()
    used = after.since(before)
    minutes = used.at / 60
    sent = ", ".join(
        f"{(count - sent_before.get(what, 0)) / minutes:.1f} {what}"
        for what, count in sorted(watched.sent().items())
        if count > sent_before.get(what, 0)
    )
    return (
        f"| {watched.name} | {minutes:.0f} min | {before.memory:.1f} → {after.memory:.1f} MiB "
        f"| {100 * used.cpu / used.at:.2f} % of a core | {used.wake_ups / used.at:.0f}/s | {sent} "
        f"| {circumstances()} |"
    )


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
