"""
Measure a call by our channel, against one by a static channel to the same two servers.

    python benchmarks/resolver_call.py [ROUNDS [CALLS]]

Calls are made one after another, and the channels take turns in each round. The servers and etcd
are separate processes.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from statistics import median

import grpc
import grpc.aio
from measuring import Bound, Row, in_turns, record

from etcdnaming import Client, Endpoint, EndpointManager, aio, insecure_channel
from etcdnaming.sandbox import Sandbox

METHOD = "/bench.Service/Echo"
OPTIONS = [("grpc.lb_policy_name", "round_robin"), ("grpc.default_authority", "svc")]


def serve() -> None:
    """Run an echo server on a free port until stdin is closed."""
    server = grpc.server(ThreadPoolExecutor(4))
    echo: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
        lambda request, _: request
    )
    handler = grpc.method_handlers_generic_handler("bench.Service", {"Echo": echo})
    server.add_generic_rpc_handlers((handler,))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()


@contextmanager
def serving() -> Iterator[str]:
    """Yield the address of a server."""
    command = [sys.executable, __file__, "serve"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        port = server.stdout.readline() if server.stdout else ""
        yield f"127.0.0.1:{int(port)}"


def compare(name: str, rounds: int, ours: Callable[[], float], static: Callable[[], float]) -> int:
    """Record the medians of both, and of their ratios; each returns the seconds of a call."""
    in_turns(1, ours, static)  # a warm-up
    took = in_turns(rounds, ours, static)
    us, them = (1e6 * median(each) for each in took)
    return record(
        Row(
            f"a call through a channel that follows etcd, {name}",
            f"{us:.0f} µs",
            f"a static channel of grpcio: {them:.0f} µs",
            median(a / b for a, b in zip(*took, strict=True)),
            Bound(most=1.05),
        )
    )


def round_of(channel: grpc.Channel, calls: int) -> Callable[[], float]:
    """Return a function that makes *calls*, and returns the seconds per call."""
    echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)

    def run() -> float:
        began = time.perf_counter()
        for _ in range(calls):
            echo(b"x")
        return (time.perf_counter() - began) / calls

    return run


def aio_round_of(
    loop: asyncio.AbstractEventLoop, channel: grpc.aio.Channel, calls: int
) -> Callable[[], float]:
    """Return a function that does the same with asyncio, in *loop*."""
    echo: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)

    async def run() -> float:
        began = time.perf_counter()
        for _ in range(calls):
            await echo(b"x")
        return (time.perf_counter() - began) / calls

    return lambda: loop.run_until_complete(run())


def main(rounds: int = 150, calls: int = 100) -> int:
    with Sandbox() as etcd, serving() as first, serving() as second:
        client = Client([etcd.endpoint])
        manager = EndpointManager(client, "svc")
        for number, addr in enumerate((first, second)):
            manager.add_endpoint(f"svc/{number}", Endpoint(addr))
        static = "ipv4:" + ",".join(sorted((first, second)))
        with (
            insecure_channel("svc", client) as ours,
            grpc.insecure_channel(static, OPTIONS) as theirs,
        ):
            sync = compare("threads", rounds, round_of(ours, calls), round_of(theirs, calls))

        async def dial() -> tuple[grpc.aio.Channel, grpc.aio.Channel]:
            ours = aio.insecure_channel("svc", client)
            return ours, grpc.aio.insecure_channel(static, OPTIONS)

        with closing(asyncio.new_event_loop()) as loop:
            sides = [aio_round_of(loop, each, calls) for each in loop.run_until_complete(dial())]
            asynchronous = compare("asyncio", rounds, *sides)
    return max(sync, asynchronous)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        sys.exit(main(*map(int, sys.argv[1:])))
