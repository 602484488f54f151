"""
Measure the time from an add until a watcher sees it: ours, Go's channel, and grpcio alone.

    python benchmarks/watch_latency.py [ROUNDS [COUNT]]        (needs Go)

The same Go program adds the endpoints for all watchers, one after another. grpcio, which keeps no
state, is the floor for Python.
"""

from __future__ import annotations

import statistics
import sys
from functools import partial

from measuring import Bound, Row, go_program, in_turns, record
from watchers import Watcher, go_sees, grpcio_sees, we_see

from etcdnaming.sandbox import Sandbox

PAUSE = "1ms"


def main(rounds: int = 20, count: int = 1000) -> int:
    go = go_program("naming")
    with Sandbox() as etcd:
        add = [str(go), "add", etcd.endpoint, str(count), PAUSE]
        median = partial(median_of, endpoint=etcd.endpoint, count=count, add=add)
        watchers = (we_see, go_sees(go), grpcio_sees)
        took = in_turns(rounds, *(partial(median, each) for each in watchers))
    we, they, floor = map(statistics.median, took)
    return max(
        recorded(we, "Go's watch channel", they, Bound(most=1.4)),
        recorded(we, "grpcio, nothing kept", floor, Bound()),
    )


def recorded(ours: float, peer: str, theirs: float, bound: Bound) -> int:
    work, they = "add → seen by a watcher, median", f"{peer}: {theirs:.3f} ms"
    return record(Row(work, f"{ours:.3f} ms", they, ours / theirs, bound))


def median_of(watcher: Watcher, endpoint: str, count: int, add: list[str]) -> float:
    """Return the median time from a change until *watcher* sees it, in milliseconds."""
    changes = watcher(endpoint, count, add).changes
    return statistics.median(at - added for added, at in changes) / 1e6


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
