"""Keep a lease with grpcio alone, with a channel and one stream: the floor for that work."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import click
import grpc

sys.path.append(sys.argv[2])
import rpc_pb2 as rpc

channel = grpc.insecure_channel(sys.argv[1])
grant = channel.unary_unary(
    "/etcdserverpb.Lease/LeaseGrant",
    request_serializer=rpc.LeaseGrantRequest.SerializeToString,
    response_deserializer=rpc.LeaseGrantResponse.FromString,
)
keep_alive = channel.stream_stream(
    "/etcdserverpb.Lease/LeaseKeepAlive",
    request_serializer=rpc.LeaseKeepAliveRequest.SerializeToString,
    response_deserializer=rpc.LeaseKeepAliveResponse.FromString,
)
lease, stopped = grant(rpc.LeaseGrantRequest(TTL=10)).ID, threading.Event()


def asked() -> Iterator[rpc.LeaseKeepAliveRequest]:
    """Yield a request every third of the TTL."""
    while not stopped.wait(10 / 3):
        yield rpc.LeaseKeepAliveRequest(ID=lease)


for _ in keep_alive(asked()):
    click.echo("alive")
    sys.stdout.flush()
