"""A gRPC server that is in etcd while it serves: python server.py 127.0.0.1:50051."""

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from types import FrameType

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from etcdnaming import Client, Endpoint, Registration

ETCD = os.environ.get("ETCDNAMING_ENDPOINTS", "127.0.0.1:2379")
STATUS = health_pb2.HealthCheckResponse


def hello(request: bytes, _: grpc.ServicerContext) -> bytes:
    """Answer the one method of this service; yours is what protoc has generated."""
    return b"hello " + request


def main(addr: str) -> None:
    """Serve until SIGTERM; no call fails when this ends."""
    stop: SimpleQueue[None] = SimpleQueue()  # an Event may hang when a signal interrupts its wait()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.put(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    server = grpc.server(ThreadPoolExecutor(16))
    greeter: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Hello": grpc.unary_unary_rpc_method_handler(hello)
    }
    service = grpc.method_handlers_generic_handler("demo.Greeter", greeter)
    server.add_generic_rpc_handlers((service,))
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    server.add_insecure_port(addr)
    server.start()
    checks.set("", STATUS.SERVING)
    endpoints = {"foo/bar/greeter/": Endpoint(addr, {"zone": "a"})}
    # wait=False: it serves, and can be stopped, also while etcd is away.
    with Client(ETCD) as client, Registration(client, endpoints, wait=False) as registration:
        stop.get()
        registration.withdraw()  # clients send no new calls here
        registration.wait(timeout=2)  # now etcd has the endpoint no more
        checks.set("", STATUS.NOT_SERVING)
        time.sleep(1)  # the drain: every client has noticed
    server.stop(grace=5).wait()


if __name__ == "__main__":
    main(sys.argv[1])
