"""Register a number of endpoints on one lease, and exit."""

from __future__ import annotations

import sys

from etcdnaming import Client, Endpoint, Registration


def main(endpoint: str, count: int) -> None:
    keys = {f"registered/e{n}": Endpoint(f"10.0.0.1:{n % 50_000 + 1}") for n in range(count)}
    with Client([endpoint]) as client, Registration(client, keys):
        print("registered")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
