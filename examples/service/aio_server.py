"""The same for asyncio: python aio_server.py 127.0.0.1:50052."""

import asyncio
import os
import signal
import sys

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from etcdnaming import Client, Endpoint, aio

ETCD = os.environ.get("ETCDNAMING_ENDPOINTS", "127.0.0.1:2379")
STATUS = health_pb2.HealthCheckResponse


async def hello(request: bytes, _: object) -> bytes:
    """Answer the one method of this service; yours is what protoc has generated."""
    return b"hello " + request


async def main(addr: str) -> None:
    """Serve until SIGTERM; no call fails when this ends."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = grpc.aio.server()
    greeter: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Hello": grpc.unary_unary_rpc_method_handler(hello)
    }
    service = grpc.method_handlers_generic_handler("demo.Greeter", greeter)
    server.add_generic_rpc_handlers((service,))
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    server.add_insecure_port(addr)
    await server.start()
    await checks.set("", STATUS.SERVING)
    endpoints = {"foo/bar/greeter/": Endpoint(addr, {"zone": "b"})}
    with Client(ETCD) as client:
        # wait=False: it serves, and can be stopped, also while etcd is away.
        async with aio.Registration(client, endpoints, wait=False) as registration:
            await stop.wait()
            registration.withdraw()  # clients send no new calls here
            await registration.wait(timeout=2)  # now etcd has the endpoint no more
            await checks.set("", STATUS.NOT_SERVING)
            await asyncio.sleep(1)  # the drain: every client has noticed
    await server.stop(grace=5)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
