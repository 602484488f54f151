"""Execute the commands on stdin with our library; see `answering`."""

from __future__ import annotations

import sys

from answering import ADDR, TARGET, answer

from etcdnaming import Client, Endpoint, EndpointManager


def main(endpoint: str) -> None:
    with Client([endpoint]) as client:
        manager = EndpointManager(client, TARGET)

        def add(count: int) -> None:
            for n in range(count):
                manager.add_endpoint(f"{TARGET}/{n}", Endpoint(ADDR))

        answer(lambda: manager.list().endpoints, add)


if __name__ == "__main__":
    main(sys.argv[1])
