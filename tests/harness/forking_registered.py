"""
Fork while an endpoint is registered: ``python forking_registered.py ETCD``.

Other threads of the parent hold all locks at that moment, which the child must not wait for.

The parent has a registration, a watch and a channel, all on one client. Its child finds that they
belong to the parent, and registers another endpoint on the same client, until it exits. Each result
of both processes is printed as a line.
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

from held_locks import held_elsewhere  # type: ignore[import-not-found]  # beside this script

from etcdnaming import Client, Endpoint, EndpointManager, Registration, insecure_channel
from etcdnaming.endpoints.watch import Watch
from etcdnaming.errors import EtcdnamingError

PATIENCE = 50
"""Seconds until either of them is ended, wherever it hangs."""


def tell(name: str, **found: object) -> None:
    """Print a result."""
    sys.stdout.write(json.dumps({"name": name, **found}) + "\n")
    sys.stdout.flush()


def error_of(call: Callable[[], object]) -> str:
    """Return the name of the error that *call* raises."""
    try:
        call()
    except EtcdnamingError as exc:
        return type(exc).__name__
    return ""


def be_child(client: Client, inherited: Registration, watch: Watch) -> None:
    """Use the inherited objects, then register another endpoint."""
    tell(
        "inherited",
        registered=inherited.registered,
        wait=error_of(inherited.wait),
        withdraw=error_of(inherited.withdraw),
        watch=error_of(partial(next, watch)),
        closed=inherited.close(),
    )
    watch.close()
    with Registration(client, {"svc/child": Endpoint("10.0.0.2:80")}, ttl=5) as own:
        found = EndpointManager(client, "svc").list().by_key()
        with EndpointManager(client, "svc").watch() as its:
            tell("own", registered=own.registered, found=sorted(found), seen=len(next(its).changes))
        own.withdraw()
        tell("withdrawn", done=own.wait(10))
        own.restore()
        tell("restored", done=own.wait(10))


def wait_until(predicate: Callable[[], object]) -> None:
    """Return when *predicate* is true."""
    while not predicate():
        time.sleep(0.01)


def fork(client: Client, registration: Registration, watch: Watch) -> int:
    """Fork, and return the child's process ID in the parent; the child ends in this function."""
    with held_elsewhere() as held:
        child = os.fork()
    assert held > 10
    if child:
        return child
    status = 1
    try:
        be_child(client, registration, watch)
        status = 0
    except Exception:  # noqa: BLE001 - the child must not continue as if it were the parent
        traceback.print_exc()
    os._exit(status)


def main(endpoint: str) -> None:
    """Register an endpoint, fork, and check the registration when the child has exited."""
    with (
        Client([endpoint]) as client,
        insecure_channel("svc", client) as channel,
        EndpointManager(client, "svc").watch() as watch,
        Registration(client, {"svc/parent": Endpoint("10.0.0.1:80")}, ttl=5) as registration,
    ):
        lease = registration.lease
        wait_until(lambda: len(channel.endpoints) == 1 and channel.age == 0)
        child = fork(client, registration, watch)
        tell("status", status=os.waitpid(child, 0)[1])
        registration.set("svc/parent", Endpoint("10.0.0.3:80"))
        tell("parent", done=registration.wait(10), same=registration.lease == lease)
        wait_until(lambda: [each.addr for each in channel.endpoints] == ["10.0.0.3:80"])
        tell("list", found=sorted(EndpointManager(client, "svc").list().by_key()))


signal.alarm(PATIENCE)
os.register_at_fork(after_in_child=partial(signal.alarm, PATIENCE))
main(sys.argv[1])
