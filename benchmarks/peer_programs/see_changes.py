"""Watch a target until the changes that another program makes have all been seen."""

from __future__ import annotations

import subprocess
import sys

from etcdnaming import Client, EndpointManager


def main(endpoint: str, count: int, flood: str) -> None:
    seen = 0
    with Client([endpoint]) as client, EndpointManager(client, "svc").watch() as watch:
        next(watch)  # the first set, however long it takes
        while watch.get(1):  # until the stream after it is open
            pass
        with subprocess.Popen([flood, "flood", endpoint, str(count), "1"]):
            while seen < count:
                batch = watch.get(60)
                if batch is None:
                    raise TimeoutError(f"{seen} of {count} changes were seen")
                seen += len(batch.changes)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
