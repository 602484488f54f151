"""Execute the commands on stdin with python-etcd3 0.12.0, in its own environment."""

from __future__ import annotations

import json
import sys

import etcd3
from answering import ADDR, TARGET, answer


def main(endpoint: str) -> None:
    host, _, port = endpoint.rpartition(":")
    unlimited = [("grpc.max_receive_message_length", -1)]
    client = etcd3.client(host, int(port), grpc_options=unlimited)

    def list_all() -> dict[bytes, str]:
        found = client.get_prefix(f"{TARGET}/")
        return {meta.key: json.loads(value)["Addr"] for value, meta in found}

    def add(count: int) -> None:
        for n in range(count):
            value = json.dumps({"Op": 0, "Addr": ADDR, "Metadata": None}, separators=(",", ":"))
            client.put(f"{TARGET}/{n}", value)

    answer(list_all, add)


if __name__ == "__main__":
    main(sys.argv[1])
