"""
Measure ``txn-update --batch-size 128`` with many endpoints, against ``etcdctl txn``.

    python benchmarks/bulk_add.py [ROUNDS [ENDPOINTS]]

etcdctl makes one transaction in a process, of as many puts.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from measuring import Bound, Row, cost_of, etcdctl, in_turns, median, ours, record, update_lines

from etcdnaming.sandbox import Sandbox

BATCH = 128
VALUE = '{"Op":0,"Addr":"10.0.0.1:8080","Metadata":null}'
SCRIPT = 'for each in "$1"/*.txn; do "$2" txn < "$each" || exit; done'


def main(rounds: int = 5, endpoints: int = 10_000) -> int:
    with Sandbox() as etcd, tempfile.TemporaryDirectory() as directory:
        run = partial(cost_of, environment=etcd.environment(os.environ))
        file = Path(directory, "updates")
        file.write_text("".join(update_lines(endpoints)))
        batches = [ours(), "txn-update", "--batch-size", str(BATCH), str(file)]
        for first in range(0, endpoints, BATCH):
            numbers = range(first, min(first + BATCH, endpoints))
            puts = "".join(f"put svc/e{n} {json.dumps(VALUE)}\n" for n in numbers)
            # No conditions, the operations if they hold, and none otherwise.
            Path(directory, f"{first:07}.txn").write_text(f"\n{puts}\n\n")
        peer = ["sh", "-c", SCRIPT, "sh", directory, etcdctl()]
        we, they = map(median, in_turns(rounds, lambda: run(batches), lambda: run(peer)))
    return record(
        Row(
            f"{endpoints:,} endpoints by `txn-update --batch-size {BATCH}`",
            f"{we.seconds:.2f} s, CPU {we.cpu:.2f} s",
            f"`etcdctl txn` of {BATCH} puts each: {they.seconds:.2f} s, CPU {they.cpu:.2f} s",
            we.seconds / they.seconds,
            Bound(most=1.0),
        )
    )


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
