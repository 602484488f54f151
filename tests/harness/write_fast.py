"""
Change COUNT endpoints at ENDPOINT as fast as possible, AT_ONCE of them per transaction.

The program ends when the last change is acknowledged. It is separate, so that it does not slow down
the process that watches.
"""

from __future__ import annotations

import sys
import threading

import grpc

from etcdnaming.etcd import rpc

UNDER_WAY = 64
"""Transactions that have no answer yet, at most."""

KEYS = 1000


def main(endpoint: str, count: int, at_once: int) -> None:
    """Put the endpoints under ``svc/``, in the order of their keys, with numbers as addresses."""
    room = threading.Semaphore(UNDER_WAY)
    with grpc.insecure_channel(endpoint) as channel:
        txn = channel.unary_unary(
            "/etcdserverpb.KV/Txn", rpc.TxnRequest.SerializeToString, rpc.TxnResponse.FromString
        )
        calls = []
        for first in range(0, count, at_once):
            room.acquire()
            puts = [put(n) for n in range(first, first + at_once)]
            calls.append(txn.future(rpc.TxnRequest(success=puts), timeout=60))
            calls[-1].add_done_callback(lambda _: room.release())
        for call in calls:
            call.result()


def put(n: int) -> rpc.RequestOp:
    """Return the write of number *n*."""
    value = f'{{"Op":0,"Addr":"{n}","Metadata":null}}'
    write = rpc.PutRequest(key=b"svc/%d" % (n % KEYS), value=value.encode())
    return rpc.RequestOp(request_put=write)


main(sys.argv[1], *map(int, sys.argv[2:]))
