"""
Execute the commands on stdin with grpcio alone: the floor for every client in Python.

    python bare.py put|txn ENDPOINT

An endpoint is added by a Put, or by the transaction that keeps its key on its lease.
"""

from __future__ import annotations

import sys
from collections.abc import Sized

import grpc
from answering import ADDR, TARGET, answer

from etcdnaming.etcd import rpc

VALUE = f'{{"Op":0,"Addr":"{ADDR}","Metadata":null}}'.encode()


def main(how: str, endpoint: str) -> None:
    channel = grpc.insecure_channel(endpoint, [("grpc.max_receive_message_length", -1)])
    put = channel.unary_unary(
        "/etcdserverpb.KV/Put",
        request_serializer=rpc.PutRequest.SerializeToString,
        response_deserializer=rpc.PutResponse.FromString,
    )
    txn = channel.unary_unary(
        "/etcdserverpb.KV/Txn",
        request_serializer=rpc.TxnRequest.SerializeToString,
        response_deserializer=rpc.TxnResponse.FromString,
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
            key = f"{TARGET}/{n}".encode()
            if how == "put":
                put(rpc.PutRequest(key=key, value=VALUE), timeout=5)
            else:
                txn(keeping_lease(key), timeout=5)

    answer(list_undecoded, add)


def keeping_lease(key: bytes) -> rpc.TxnRequest:
    """Return the transaction that `EndpointManager.add_endpoint` sends, of messages as usual."""
    exists = rpc.Compare(key=key, target=rpc.Compare.VERSION, result=rpc.Compare.GREATER, version=0)
    keep = rpc.PutRequest(key=key, value=VALUE, ignore_lease=True)
    create = rpc.PutRequest(key=key, value=VALUE)
    return rpc.TxnRequest(
        compare=[exists],
        success=[rpc.RequestOp(request_put=keep)],
        failure=[rpc.RequestOp(request_put=create)],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
