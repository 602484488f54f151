"""
How long it takes from an add until a watcher sees it: ours, and Go's watch channel.

    python benchmarks/watch_latency.py [ROUNDS [COUNT]]        (needs Go)

The same program of Go's adds for both, one endpoint after another.
"""

from __future__ import annotations

import statistics
import sys
from functools import partial

from measuring import Bound, Row, go_program, in_turns, record
from watchers import Watcher, go_sees, we_see

from etcdnaming.sandbox import Sandbox

PAUSE = "1ms"


def main(rounds: int = 6, count: int = 1000) -> int:
    go = go_program("naming")
    with Sandbox() as etcd:
        add = [str(go), "add", etcd.endpoint, str(count), PAUSE]
        median = partial(median_of, endpoint=etcd.endpoint, count=count, add=add)
        ours, theirs = in_turns(rounds, lambda: median(we_see), lambda: median(go_sees(go)))
    we, they = statistics.median(ours), statistics.median(theirs)
    return record(
        Row(
            "add → seen by a watcher, median",
            f"{we:.3f} ms",
            f"Go's watch channel: {they:.3f} ms",
            we / they,
            Bound(most=1.5),
        )
    )


def median_of(watcher: Watcher, endpoint: str, count: int, add: list[str]) -> float:
    """Return the milliseconds that half of the changes took no longer than."""
    changes = watcher(endpoint, count, add).changes
    return statistics.median(at - added for added, at in changes) / 1e6


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
