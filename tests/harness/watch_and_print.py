"""
Follow the target ``svc`` and print each change as a line: run by `watching_process`.

Arguments: endpoints, separated by commas, and the seconds of silence after which etcd is asked.
"""

from __future__ import annotations

import sys

from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.etcd import Client, range_watch_loop
from etcdnaming.model import Change, WatchState


def line(change: Change, *, resync: bool) -> str:
    """Return the line for *change*; for a delete it has the address that was removed."""
    there = change.endpoint or (change.previous and change.previous.endpoint)
    addr = there.addr if there else "?"
    return f"{change.op.name} {change.key} {addr}{' resync' if resync else ''}"


def say(text: str) -> None:
    """Print *text* immediately."""
    print(text, flush=True)  # noqa: T201 - the parent reads it


def say_state(state: WatchState) -> None:
    """Print whether changes are delivered."""
    say("connected" if state.connected else "disconnected")


def main(endpoints: str, idle: str) -> None:
    """Print all changes, without end."""
    range_watch_loop.VERIFY_INTERVAL = float(idle)
    with Client(endpoints.split(",")) as client:
        for batch in EndpointManager(client, "svc").watch(on_state=say_state):
            for change in batch.changes:
                say(line(change, resync=batch.resync))
            if batch.first:
                say("first")


main(*sys.argv[1:])
