"""
Measure ``txn-update --batch-size 128`` with many endpoints, against one ``etcdctl put`` for each.

    python benchmarks/bulk_add.py [ROUNDS [ENDPOINTS [SAMPLE]]]

Each round makes only a SAMPLE of the puts, and multiplies their time by ENDPOINTS / SAMPLE.
"""

from __future__ import annotations

import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from measuring import Bound, Row, cost_of, etcdctl, in_turns, median, ours, record, update_lines

from etcdnaming.sandbox import Sandbox

VALUE = '{"Op":0,"Addr":"10.0.0.1:8080","Metadata":null}'


def main(rounds: int = 5, endpoints: int = 10_000, sample: int = 50) -> int:
    with Sandbox() as etcd, tempfile.TemporaryDirectory() as directory:
        run = partial(cost_of, environment=etcd.environment(os.environ))
        file = Path(directory, "updates")
        file.write_text("".join(update_lines(endpoints)))
        batches = [ours(), "txn-update", "--batch-size", "128", str(file)]
        puts = Path(directory, "puts")
        puts.write_text("".join(f"'{etcdctl()}' put svc/e{n} '{VALUE}'\n" for n in range(sample)))
        alone = ["sh", str(puts)]
        we, they = map(median, in_turns(rounds, lambda: run(batches), lambda: run(alone)))
    all_of_them = they.seconds * endpoints / sample
    return record(
        Row(
            f"{endpoints:,} endpoints by `txn-update --batch-size 128`",
            f"{we.seconds:.2f} s, CPU {we.cpu:.2f} s",
            f"as many `etcdctl put`: {all_of_them:.0f} s, from {sample} in {they.seconds:.2f} s",
            we.seconds / all_of_them,
            Bound(most=0.02),
        )
    )


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
