"""A client that follows the servers, with retries: python client.py."""

import json
import os
import sys
import time
from contextlib import suppress

import grpc

from etcdnaming import Client, insecure_channel

ETCD = os.environ.get("ETCDNAMING_ENDPOINTS", "127.0.0.1:2379")
METHODS: dict[str, str] = {}  # all; {"service": "demo.Greeter"} is one service
RETRY = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
CONFIG = {"methodConfig": [{"name": [METHODS], "retryPolicy": RETRY}]}


def main() -> None:
    """Call whichever servers there are, until Ctrl-C."""
    options = [("grpc.service_config", json.dumps(CONFIG))]
    with (
        Client(ETCD) as client,
        insecure_channel("etcd:///foo/bar/greeter", client, options=options) as channel,
    ):
        greeter = channel.unary_unary("/demo.Greeter/Hello")  # yours: GreeterStub(channel)
        while True:
            addrs = [endpoint.addr for endpoint in channel.endpoints]
            try:
                answer = greeter(b"world", timeout=5, wait_for_ready=True)
            except grpc.RpcError as error:
                print(f"{error.code().name} with {len(addrs)} servers", file=sys.stderr, flush=True)
            else:
                print(answer.decode(), "from one of", *addrs, flush=True)
            time.sleep(0.2)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
