"""grpcio and nothing else, told what to do on stdin: the floor for every client in Python."""

from __future__ import annotations

import sys
from collections.abc import Sized

import grpc
from answering import ADDR, TARGET, answer

from etcdnaming.etcd import rpc

VALUE = f'{{"Op":0,"Addr":"{ADDR}","Metadata":null}}'.encode()


def main(endpoint: str) -> None:
    channel = grpc.insecure_channel(endpoint, [("grpc.max_receive_message_length", -1)])
    put = channel.unary_unary(
        "/etcdserverpb.KV/Put",
        request_serializer=rpc.PutRequest.SerializeToString,
        response_deserializer=rpc.PutResponse.FromString,
    )
    get = channel.unary_unary(
        "/etcdserverpb.KV/Range",
        request_serializer=rpc.RangeRequest.SerializeToString,
        response_deserializer=rpc.RangeResponse.FromString,
    )

    def list_undecoded() -> Sized:
        request = rpc.RangeRequest(key=f"{TARGET}/".encode(), range_end=f"{TARGET}0".encode())
        found: Sized = get(request).kvs
        return found

    def add(count: int) -> None:
        for n in range(count):
            put(rpc.PutRequest(key=f"{TARGET}/{n}".encode(), value=VALUE), timeout=5)

    answer(list_undecoded, add)


if __name__ == "__main__":
    main(sys.argv[1])
