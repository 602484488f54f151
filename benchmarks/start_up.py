"""
Measure the start: ``etcdnaming add`` and ``etcdnaming --help`` as whole processes.

    python benchmarks/start_up.py [ROUNDS]

They are compared with a script that imports the same libraries and makes one call,
``peer_programs/put_once.py``, and with ``import click``.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from measuring import Bound, Cost, Row, cost_of, in_turns, median, ours, peer_program, record

from etcdnaming.etcd import rpc
from etcdnaming.sandbox import Sandbox

MESSAGES = str(Path(rpc.__file__).parent)


def main(rounds: int = 60) -> int:
    with Sandbox() as etcd:
        run = partial(cost_of, environment=etcd.environment(os.environ))
        adding = in_turns(
            rounds,
            lambda: run([ours(), "add", "svc/e1", "--addr", "10.0.0.1:8080"]),
            lambda: run([sys.executable, peer_program("put_once.py"), etcd.endpoint, MESSAGES]),
        )
        helping = in_turns(
            rounds,
            lambda: run([ours(), "--help"]),
            lambda: run([sys.executable, "-c", "import click"]),
        )
    return max(
        recorded("`etcdnaming add`, whole process", "a script that makes one Put", 0.80, *adding),
        recorded("`etcdnaming --help`", '`python -c "import click"`', 1.2, *helping),
    )


def recorded(work: str, peer: str, most: float, ours: list[Cost], theirs: list[Cost]) -> int:
    we, they = median(ours), median(theirs)
    return record(
        Row(
            work,
            spelled(we),
            f"{peer}: {spelled(they)}",
            we.seconds / they.seconds,
            Bound(most=most),
        )
    )


def spelled(cost: Cost) -> str:
    return f"{1e3 * cost.seconds:.0f} ms, CPU {1e3 * cost.cpu:.0f} ms"


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
