"""
Measure how time, CPU and memory of whole processes grow with the number of endpoints.

    python benchmarks/growth.py [ROUNDS [ENDPOINTS...]]        (needs Go)

The results are in ``growth.csv``, which `plot.py` draws. Rows of numbers that are not requested are
kept. A million takes 7 minutes a round.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from measuring import (
    Cost,
    circumstances,
    cost_of,
    go_program,
    median,
    ours,
    peer_program,
    update_lines,
)

from etcdnaming.sandbox import Sandbox

RESULTS = Path(__file__).parent / "growth.csv"
HEAD = ["work", "endpoints", "seconds", "CPU seconds", "peak MiB", "when and where"]


def main(rounds: int = 1, *counts: int) -> None:
    for count in counts or (1_000, 10_000, 100_000, 1_000_000):
        rows = [row for row in known() if endpoints_of(row) != count]
        rows += grown(rounds, count)
        rows.sort(key=endpoints_of)
        with RESULTS.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(HEAD)
            writer.writerows(rows)


def endpoints_of(row: Sequence[str]) -> int:
    return int(row[1])


def known() -> list[list[str]]:
    """Return the existing rows."""
    with RESULTS.open(newline="") as file:
        _head, *rows = csv.reader(file)
    return rows


def grown(rounds: int, count: int) -> Iterator[list[str]]:
    """Yield the cost of each kind of work with *count* endpoints, one after another on one etcd."""
    with tempfile.TemporaryDirectory() as directory, Sandbox() as etcd:
        file = Path(directory, "updates")
        file.write_text("".join(update_lines(count)))
        run = partial(cost_of, environment=etcd.environment(os.environ))
        for work, command in works(etcd.endpoint, count, file).items():
            cost = median([run(command) for _ in range(rounds)])
            print(f"{work:28} {count:>9,} {spelled(cost)}")
            numbers = f"{cost.seconds:.3f}", f"{cost.cpu:.3f}", f"{cost.memory:.0f}"
            yield [work, str(count), *numbers, circumstances()]


def works(endpoint: str, count: int, file: Path) -> dict[str, Sequence[str]]:
    """Return the command of each kind of work; the first one adds the endpoints."""
    number = str(count)
    return {
        "txn-update --batch-size 128": [ours(), "txn-update", "--batch-size", "128", str(file)],
        "list": [ours(), "list", "svc"],
        "list -w json": [ours(), "list", "svc", "-w", "json"],
        "watch: the first set": [ours(), "wait", "svc", "--min", number],
        "register and leave": [
            sys.executable,
            peer_program("register_and_leave.py"),
            endpoint,
            number,
        ],
        "watch: as many changes": [
            sys.executable,
            peer_program("see_changes.py"),
            endpoint,
            number,
            str(go_program("naming")),
        ],
    }


def spelled(cost: Cost) -> str:
    return f"{cost.seconds:8.2f} s, CPU {cost.cpu:8.2f} s {cost.memory:6.0f} MiB"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
