"""
Measure when a watcher has seen the last of 50,000 changes that are made at full speed.

    python benchmarks/watch_flood.py [ROUNDS [COUNT]]        (needs Go)

A Go program changes 1 or 50 endpoints in each transaction. The bound is in seconds; Go's watch
channel is there for comparison.
"""

from __future__ import annotations

import sys
from functools import partial

from measuring import Bound, Row, go_program, in_turns, record
from watchers import Watcher, go_sees, we_see

from etcdnaming.sandbox import Sandbox


def main(rounds: int = 3, count: int = 50_000) -> int:
    return max([measured(rounds, count, size) for size in (1, 50)])


def measured(rounds: int, count: int, size: int) -> int:
    """Record the results for *count* changes, *size* of them in each transaction."""
    go = go_program("naming")
    with Sandbox() as etcd:
        flood = [str(go), "flood", etcd.endpoint, str(count), str(size)]
        late = partial(seconds_late, endpoint=etcd.endpoint, count=count, flood=flood)
        ours, theirs = in_turns(rounds, lambda: late(we_see), lambda: late(go_sees(go)))
    return record(
        Row(
            f"{count:,} changes, {size} at once: last seen after its write, worst round",
            f"{max(ours):.3f} s",
            f"Go's watch channel: {max(theirs):.3f} s",
            max(ours),
            Bound(most=0.1, unit="s"),
        )
    )


def seconds_late(watcher: Watcher, endpoint: str, count: int, flood: list[str]) -> float:
    """
    Return the seconds from the answer to the last write until the last change was seen.

    Zero, if it was seen before the answer came.
    """
    changes, last_written = watcher(endpoint, count, flood)
    return max(0.0, (changes[-1].at - int(last_written)) / 1e9)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
