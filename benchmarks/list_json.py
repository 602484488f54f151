"""
Measure the output of many endpoints as JSON, against etcdctl with jq to decode the values.

    python benchmarks/list_json.py [ROUNDS [ENDPOINTS]]        (needs jq)
"""

from __future__ import annotations

import os
import sys
from functools import partial

from measuring import TARGET, Bound, Row, cost_of, etcdctl, fill, in_turns, median, ours, record

from etcdnaming.sandbox import Sandbox

DECODE = ".kvs[] | {key: .key | @base64d, value: .value | @base64d | fromjson}"


def main(rounds: int = 7, endpoints: int = 100_000) -> int:
    with Sandbox() as etcd:
        fill(etcd.endpoint, endpoints)
        run = partial(cost_of, environment=etcd.environment(os.environ))
        get = f"'{etcdctl()}' get --prefix {TARGET}/ -w json | jq -c '{DECODE}'"
        we, they = map(
            median,
            in_turns(
                rounds,
                lambda: run([ours(), "list", TARGET, "-w", "json"]),
                lambda: run(["sh", "-c", get]),
            ),
        )
    return record(
        Row(
            f"`list -w json` of {endpoints:,} endpoints",
            f"{we.seconds:.2f} s, CPU {we.cpu:.2f} s, {we.memory:.0f} MiB",
            f"`etcdctl get -w json` and jq: {they.seconds:.2f} s, CPU {they.cpu:.2f} s, "
            f"{they.memory:.0f} MiB",
            we.seconds / they.seconds,
            Bound(most=0.35),
        )
    )


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
