"""
A program with channels of ours and an xDS bootstrap of its own: ``ORDER ETCD BRIDGE``.

ORDER is ``before`` or ``after``: when the program sets its own. It prints what servers answer.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import grpc

from etcdnaming import Client, insecure_channel

VARIABLE = "GRPC_XDS_BOOTSTRAP_CONFIG"


def who(channel: grpc.Channel, timeout: float = 10) -> str:
    """Return the answer of a server, or the error."""
    call: Any = channel.unary_unary("/test.Service/Who")
    try:
        answer: bytes = call(b"", timeout=timeout)
    except grpc.RpcError as exc:
        return str(exc)
    return answer.decode()


def main(order: str, etcd: str, bridge: str) -> None:
    """Call the service by both."""
    server = {"server_uri": bridge, "channel_creds": [{"type": "insecure"}]}
    config = {"xds_servers": [server], "node": {"id": "application"}}
    if order == "before":
        os.environ[VARIABLE] = json.dumps(config)
    with Client([etcd]) as client, insecure_channel("foo/svc", client) as ours:
        if order == "after":
            sys.stdout.write(who(ours) + "\n")
            os.environ[VARIABLE] = json.dumps(config)
        with grpc.insecure_channel("xds:///foo/svc") as own:
            # In "after", gRPC may have kept our bootstrap, and the call may fail at its deadline.
            answer = who(own, 10 if order == "before" else 1)
            sys.stdout.write(f"{answer}\n{who(ours)}\n")


main(*sys.argv[1:])
