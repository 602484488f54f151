"""
Fork while a channel is in use: ``python forking.py ETCD``, with GRPC_ENABLE_FORK_SUPPORT=1.

The parent calls and watches ``svc``, and waits until nothing goes on any more. Its child calls by
the same channel and reads by the same client; then it has both of its own, and registers a second
endpoint, which both get to see. What they find is printed, a line each; a child that dies is the
end of it.
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

from etcdnaming import Client, Endpoint, EndpointManager, insecure_channel
from etcdnaming.resolver.channel import Channel

PATIENCE = 40
"""Seconds until either of them is ended, wherever it hangs."""


def who(channel: Channel) -> str:
    """Return who answers."""
    call: Any = channel.unary_unary("/test.Service/Who")
    answer: bytes = call(b"", timeout=10)
    return answer.decode()


def tell(name: str, **found: object) -> None:
    """Print it."""
    sys.stdout.write(json.dumps({"name": name, **found}) + "\n")
    sys.stdout.flush()


def be_child(endpoint: str, client: Client, inherited: Channel) -> None:
    """Call, read, register another endpoint, and follow."""
    age = inherited.age or 0
    tell("inherited", who=who(inherited), aging=0 < age < (inherited.age or 0))
    grpc.channel_ready_future(inherited).result(10)
    (found,) = EndpointManager(client, "svc").list().by_key().values()
    tell("read", addr=found.addr)
    inherited.close()
    with Client([endpoint]) as its, insecure_channel("svc", its) as own:
        tell("own", who=who(own))
        another = Endpoint(found.addr.replace("127.0.0.1", "localhost"))
        EndpointManager(its, "svc").add_endpoint("svc/2", another)
        wait_until(lambda: len(own.endpoints) == 2)
        tell("child", endpoints=len(own.endpoints))


def wait_until(predicate: Callable[[], object]) -> None:
    """Return when it is true."""
    while not predicate():
        time.sleep(0.01)


def fork(endpoint: str, client: Client, channel: Channel) -> int:
    """Return the child, which is told of by what it prints and by its status."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        be_child(endpoint, client, channel)
        status = 0
    except Exception:  # noqa: BLE001 - a child must not go on as if it were the parent
        traceback.print_exc()
    os._exit(status)


def has_failed(child: int) -> bool:
    """Look, and leave it to be waited for."""
    end = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return bool(end and end.si_status)


def main(endpoint: str) -> None:
    """Fork."""
    with (
        Client([endpoint]) as client,
        EndpointManager(client, "svc").watch() as watch,
        insecure_channel("svc", client) as channel,
    ):
        tell("watch", known=len(next(watch).changes))
        tell("before", who=who(channel))
        wait_until(lambda: channel.age == 0)
        child = fork(endpoint, client, channel)
        tell("after", who=who(channel))
        wait_until(lambda: len(channel.endpoints) == 2 or has_failed(child))
        tell("parent", endpoints=len(channel.endpoints))
        tell("watched", changes=len(next(watch).changes))
        tell("status", status=os.waitpid(child, 0)[1])


# First of all that is done in the child, where gRPC, too, has things to do.
os.register_at_fork(after_in_child=partial(signal.alarm, PATIENCE))
signal.alarm(PATIENCE)
main(sys.argv[1])
