"""
Measure what a change of endpoints costs a channel: connections made, and CPU.

    python benchmarks/channel_changes.py [CHANGES [SIZE [ROUNDS]]]

The servers are those of ``tests/harness/counting.py``, in a process of their own, which needs the
extra ``[test]``.

The peer of a change, in turns with it, is grpcio alone: a new static channel that connects to the
same endpoints, as a program needs that exchanges its channel at each change. Channels of ours did
that in their first version, which took longer: in three turns with this one, with grpcio 1.85.3 and
1,000 endpoints, 189, 200 and 194 ms of CPU a change, against 53, 60 and 53 ms, which is 0.28 times.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

import grpc
from measuring import Bound, Row, in_turns, record

from etcdnaming import Client, Endpoint, EndpointManager, Update, insecure_channel
from etcdnaming.sandbox import Sandbox

METHOD = "/bench.Service/Echo"
OPTIONS = [("grpc.lb_policy_name", "round_robin"), ("grpc.use_local_subchannel_pool", 1)]
LIVE = 5


def serve(number: int) -> None:
    """Print the addresses of so many servers, and for each line of stdin the connections so far."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from harness.counting import CountingServers

    with closing(CountingServers()) as servers:
        print(*servers.start(number), flush=True)
        for _ in sys.stdin:
            print(sum(servers.accepted.values()), flush=True)


@contextmanager
def serving(number: int) -> Iterator[tuple[list[str], Callable[[], int]]]:
    """Yield the addresses of so many servers, and a function that counts their connections."""
    command = [sys.executable, __file__, "serve", str(number)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        stdin, stdout = process.stdin, process.stdout
        if not stdin or not stdout:
            raise AssertionError("both are pipes")

        def accepted() -> int:
            print(file=stdin, flush=True)
            return int(stdout.readline())

        addrs = stdout.readline().split()
        if not addrs:
            raise ChildProcessError("the servers did not start: they need the extra [test]")
        yield addrs, accepted


def reach(accepted: Callable[[], int], number: int) -> None:
    """Return when there were so many connections, and a moment for what follows them."""
    deadline = time.monotonic() + 60
    while accepted() < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{accepted()} of {number} connections")
        time.sleep(0.02)
    time.sleep(0.2)


def register(manager: EndpointManager, addrs: list[str]) -> None:
    """Register the endpoints."""
    for first in range(0, len(addrs), 100):
        some = addrs[first : first + 100]
        manager.update([Update.add(f"svc/{addr}", Endpoint(addr)) for addr in some])


def replace(manager: EndpointManager, old: str, new: str) -> None:
    """Exchange one endpoint in one transaction."""
    manager.update([Update.delete(f"svc/{old}"), Update.add(f"svc/{new}", Endpoint(new))])


def connections(changes: int) -> int:
    """Record the connections of a channel of five endpoints over so many changes."""
    ideal = LIVE + changes
    with Sandbox() as etcd, serving(ideal) as (addrs, accepted):
        client = Client([etcd.endpoint])
        manager = EndpointManager(client, "svc")
        register(manager, addrs[:LIVE])
        with insecure_channel("svc", client) as channel:
            channel.unary_unary(METHOD)(b"", timeout=20)
            reach(accepted, LIVE)
            for number, (old, new) in enumerate(zip(addrs, addrs[LIVE:], strict=False), 1):
                replace(manager, old, new)
                reach(accepted, LIVE + number)
            made = accepted()
    return record(
        Row(
            f"channel: {changes} one-in-one-out changes of {LIVE} endpoints, connections",
            str(made),
            f"ideal: {ideal}",
            made / ideal,
            Bound(most=1.05),
        )
    )


def cpu(size: int, rounds: int) -> int:
    """Record the CPU of a change among so many endpoints."""
    with Sandbox() as etcd, serving(size + rounds) as (addrs, accepted):
        client = Client([etcd.endpoint])
        manager = EndpointManager(client, "svc")
        register(manager, addrs[:size])
        changes = iter(zip(addrs, addrs[size:], strict=False))

        def static() -> float:
            before, began = accepted(), time.process_time()
            with grpc.insecure_channel("ipv4:" + ",".join(addrs[:size]), OPTIONS) as channel:
                call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
                call(b"", timeout=60)
                reach(accepted, before + size)
                took = time.process_time() - began
            time.sleep(1)  # its connections are closed in the background
            return took

        def change() -> float:
            before, began = accepted(), time.process_time()
            replace(manager, *next(changes))
            reach(accepted, before + 1)
            return time.process_time() - began

        with insecure_channel("svc", client) as channel:
            channel.unary_unary(METHOD)(b"", timeout=60)
            reach(accepted, size)
            ours, theirs = map(median, in_turns(rounds, change, static))
    return record(
        Row(
            f"channel: a change among {size:,} endpoints, CPU",
            f"{ours * 1000:.0f} ms",
            f"a new static channel of grpcio: {theirs * 1000:.0f} ms",
            ours / theirs,
            Bound(most=0.35),
        )
    )


def main(changes: int = 100, size: int = 1000, rounds: int = 7) -> int:
    return max(connections(changes), cpu(size, rounds))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    else:
        sys.exit(main(*map(int, sys.argv[1:])))
