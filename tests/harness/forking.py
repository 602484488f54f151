"""
Fork while a channel is in use: ``python forking.py ETCD``, with GRPC_ENABLE_FORK_SUPPORT=1.

Other threads of the parent hold all locks at that moment, which the child must not wait for.

The parent calls and watches ``svc``, and waits until its client is idle. Its child uses an
inherited channel and client. Then it creates a client and a channel of its own, and registers a
second endpoint, which both processes find. Each result is printed as a line; if the child dies, the
parent stops waiting.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
from held_locks import held_elsewhere  # type: ignore[import-not-found]  # beside this script

from etcdnaming import Client, Endpoint, EndpointManager, insecure_channel
from etcdnaming.resolver.channel import Channel
from etcdnaming.xds.embedded import services

PATIENCE = 40
"""Seconds until either of them is ended, wherever it hangs."""


def who(channel: Channel) -> str:
    """Return the answer of the server."""
    call: Any = channel.unary_unary("/test.Service/Who")
    answer: bytes = call(b"", timeout=10)
    return answer.decode()


def tell(name: str, **found: object) -> None:
    """Print a result."""
    sys.stdout.write(json.dumps({"name": name, **found}) + "\n")
    sys.stdout.flush()


def be_child(endpoint: str, client: Client, inherited: Channel, unused: Channel) -> None:
    """Call and read with new objects and with the inherited ones, and register an endpoint."""
    services.LINGER = 0.5  # so that inherited services end while others are used
    with Client([endpoint]) as its, insecure_channel("svc", its, authority="other") as first:
        # GRPC in the child is not connected yet, and goes on with the bootstrap of the parent.
        tell("first", who=who(first))
    age = inherited.age or 0
    try:
        aging = 0 < age < (inherited.age or 0)
        tell("inherited", who=who(inherited), aging=aging, endpoints=len(inherited.endpoints))
        grpc.channel_ready_future(inherited).result(10)
    except ValueError as exc:  # gRPC before 1.85
        tell("inherited", error=str(exc))
    (found,) = EndpointManager(client, "svc").list().by_key().values()
    tell("read", addr=found.addr)
    with Client([endpoint]) as its, insecure_channel("svc", its) as own:
        tell("own", who=who(own))
        inherited.close()
        unused.close()
        wait_until(lambda: not unused.endpoints)
        tell("closed", endpoints=len(unused.endpoints))
        client.close()
        another = Endpoint(found.addr.replace("127.0.0.1", "localhost"))
        EndpointManager(its, "svc").add_endpoint("svc/2", another)
        wait_until(lambda: len(own.endpoints) == 2)
        tell("child", endpoints=len(own.endpoints))


def wait_until(predicate: Callable[[], object]) -> None:
    """Return when *predicate* is true."""
    while not predicate():
        time.sleep(0.01)


def fork(endpoint: str, client: Client, channel: Channel, unused: Channel) -> int:
    """Fork, and return the child's process ID in the parent; the child ends in this function."""
    with held_elsewhere() as held:
        child = os.fork()
    assert held > 10
    if child:
        return child
    status = 1
    try:
        be_child(endpoint, client, channel, unused)
        status = 0
    except Exception:  # noqa: BLE001 - the child must not continue as if it were the parent
        traceback.print_exc()
    os._exit(status)


def has_failed(child: int) -> bool:
    """Return whether the child has failed, without reaping it."""
    end = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return bool(end and end.si_status)


def main(endpoint: str) -> None:
    """Use a client, a watch and a channel before and after the fork."""
    with (
        Client([endpoint]) as client,
        EndpointManager(client, "svc").watch() as watch,
        insecure_channel("svc", client) as channel,
        insecure_channel("svc", client, authority="unused") as unused,
    ):
        tell("watch", known=len(next(watch).changes))
        tell("before", who=who(channel))
        wait_until(lambda: channel.age == 0 and unused.age == 0)
        child = fork(endpoint, client, channel, unused)
        tell("after", who=who(channel))
        wait_until(lambda: len(channel.endpoints) == 2 or has_failed(child))
        tell("parent", endpoints=len(channel.endpoints))
        tell("watched", changes=len(next(watch).changes))
        tell("status", status=os.waitpid(child, 0)[1])


# Registered first, so that it runs in the child before gRPC's handlers, which could hang.
os.register_at_fork(after_in_child=partial(signal.alarm, PATIENCE))
signal.alarm(PATIENCE)
main(sys.argv[1])
