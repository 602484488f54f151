"""Keep a number of registrations in one process until it is ended."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack

from etcdnaming import Client, Endpoint, Registration


def main(endpoint: str, count: int) -> None:
    with Client([endpoint]) as client, ExitStack() as stack:
        for n in range(count):
            keys = {f"svc/e{n}": Endpoint(f"10.0.0.1:{n + 1}")}
            stack.enter_context(Registration(client, keys))
        print("registered", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
