"""Run commands while many threads use gRPC, then exit with the code of the last one."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from etcdnaming.process import Exited, Supervisor

supervisor = Supervisor()
first = supervisor.launcher()

import grpc  # noqa: E402 - after the supervisor, as in the program


def serve() -> tuple[grpc.Server, str]:
    """Return a server that echoes, and its address."""
    handler = grpc.method_handlers_generic_handler(
        "test", {"echo": grpc.unary_unary_rpc_method_handler(lambda request, _: request)}
    )
    server = grpc.server(ThreadPoolExecutor(8), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


def call_forever(channel: grpc.Channel) -> None:
    """Keep gRPC busy."""
    echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test/echo")
    while True:
        echo(b"x")


def output_of(*argv: str) -> bytes:
    """Return the output of a command in the background."""
    reader, writer = os.pipe()
    command = supervisor.launcher(output=writer).run(argv, os.environ)
    os.close(writer)
    with open(reader, "rb") as file:
        output = file.read()
    event = supervisor.wait(10)
    assert isinstance(event, Exited)
    assert (event.command, event.status) == (command, 0)
    return output


server, address = serve()
channel = grpc.insecure_channel(address)
for _ in range(20):
    threading.Thread(target=call_forever, args=(channel,)).start()
for number in range(15):
    assert output_of("echo", str(number)) == b"%d\n" % number
first.run(sys.argv[1:], os.environ)
event = supervisor.wait(10)
assert isinstance(event, Exited)
os._exit(event.exit_code)  # at once: messages of gRPC at its shutdown do not matter
