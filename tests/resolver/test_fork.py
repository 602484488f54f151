"""A program that forks while it has a channel, as the README says it may."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from harness import Etcd
from harness.backends import Backends
from harness.watcher import stored

PROGRAM = Path(__file__).parent.parent / "harness" / "forking.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_makes_a_channel_of_its_own(etcd: Etcd) -> None:
    """That of its parent goes on with what was known, and says how old that is."""
    with closing(Backends()) as backends:
        first = backends()
        etcd.put("svc/1", stored(first.addr))
        environment = {**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "1"}
        command = [sys.executable, str(PROGRAM), etcd.endpoint]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True
        ) as program:
            try:
                assert program.stdout
                lines = (json.loads(line) for line in program.stdout)
                said = [next(lines) for _ in range(4)]
                etcd.put("svc/2", stored(first.addr.replace("127.0.0.1", "localhost")))
                said += lines
            finally:
                program.kill()
    found = {each.pop("name"): each for each in said}
    assert found == {
        "before": {"who": first.addr},
        "after": {"who": first.addr},
        "inherited": {"who": first.addr, "aging": True},
        "own": {"who": first.addr},
        "child": {"endpoints": 2},
        "parent": {"endpoints": 2},
        "status": {"status": 0},
    }
