"""
Calls a service by its name, wherever its endpoints are at the moment.

    ETCDNAMING_ENDPOINTS=127.0.0.1:2379 python resolver_client.py foo/bar/svc

Calls are spread over all endpoints, which may come and go, and so may etcd. Until Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

import grpc

from etcdnaming import Client, insecure_channel

PAUSE = 0.1
"""Seconds between two calls."""


def main(target: str) -> None:
    """Call, and print the answers."""
    etcd = os.environ.get("ETCDNAMING_ENDPOINTS", "127.0.0.1:2379").split(",")
    with Client(etcd) as client, insecure_channel(f"etcd:///{target}", client) as channel:
        hello = channel.unary_unary("/example.Greeter/Hello")
        while True:
            try:
                # With wait_for_ready a service without endpoints is waited for, until the deadline.
                print(hello(b"world", timeout=5, wait_for_ready=True).decode(), flush=True)
            except grpc.RpcError as exc:
                print(f"{exc.code().name}: {exc.details()}", file=sys.stderr)
            time.sleep(PAUSE)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
