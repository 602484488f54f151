"""The command ``etcdnaming status``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from queue import SimpleQueue
from typing import TYPE_CHECKING

import click

from ...errors import ConnectionFailedError
from ..app import App, pass_app
from ..click_extension import Command
from ..failures import NotServingError
from ..output.printers import EtcdStatus

if TYPE_CHECKING:
    from ...model import MemberStatus

__all__ = ["command"]


HELP = """
Print the status of each etcd endpoint.

$ etcdnaming status
127.0.0.1:2379  8e9e05c52164694d  3.5.1  leader  1  2  20 kB  ...

Every endpoint of --endpoints is a row: member, version, role, revision, raft term, size of the
database, alarms, latency, user, TLS version, end of the certificate. A table has a header, and is
one block for each endpoint where the terminal is too narrow. Each endpoint is asked by itself, and
logged in to if there is a --user. What is unknown is "-". The exit code is 1 if one of them does
not answer, and 2 if none does.
"""


@click.command(cls=Command, help=HELP)
@pass_app
def command(app: App) -> None:
    """Run ``etcdnaming status``."""
    printer = app.printer()
    members = app.members()
    done: SimpleQueue[tuple[int, EtcdStatus]] = SimpleQueue()
    from ...etcd.threads import start_thread  # gRPC is imported by `members`

    def run(number: int, endpoint: str, ask: Callable[[], MemberStatus]) -> None:
        try:
            found = EtcdStatus(endpoint, ask(), "")
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is the row of this endpoint
            found = EtcdStatus(endpoint, None, str(exc) or type(exc).__name__)
        done.put((number, found))

    for number, (endpoint, ask) in enumerate(members):
        start_thread(partial(run, number, endpoint, ask), "etcdnaming-status")
    found = [each for _, each in sorted((done.get() for _ in members), key=itemgetter(0))]
    printer.status(found)
    missing = sum(each.status is None for each in found)
    if missing == len(found):
        raise ConnectionFailedError(f"no etcd endpoint answers: {found[0].reason}")
    if missing:
        raise NotServingError(f"no answer from {missing} of {len(found)} etcd endpoints")
