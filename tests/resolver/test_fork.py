"""A program that forks while it has a client and a channel, as the README says it may."""

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

HARNESS = Path(__file__).parent.parent / "harness"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize("environment", [{}, {"GRPC_ENABLE_FORK_SUPPORT": "1"}])
def test_who_forks_first_needs_nothing_else(etcd: Etcd, environment: dict[str, str]) -> None:
    """Whatever gRPC is told."""
    with closing(Backends()) as backends:
        etcd.put("svc/1", stored(backends().addr))
        done = subprocess.run(
            [sys.executable, str(HARNESS / "forked_first.py"), etcd.endpoint],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_child_uses_what_it_inherits_and_makes_its_own(etcd: Etcd) -> None:
    """A channel of its parent goes on with what was known, and says how old that is."""
    with closing(Backends()) as backends:
        addr = backends().addr
        etcd.put("svc/1", stored(addr))
        done = subprocess.run(
            [sys.executable, str(HARNESS / "forking.py"), etcd.endpoint],
            env={**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each.pop("name"): each for each in said} == {
        "before": {"who": addr},
        "watch": {"known": 1},
        "after": {"who": addr},
        "inherited": {"who": addr, "aging": True},
        "read": {"addr": addr},
        "own": {"who": addr},
        "child": {"endpoints": 2},
        "parent": {"endpoints": 2},
        "watched": {"changes": 1},
        "status": {"status": 0},
    }, done.stderr


def test_child_registers_and_leaves_its_parents_registration_alone(etcd: Etcd) -> None:
    """On the client that it inherits, with a watch of its own, and with a channel beside it."""
    done = subprocess.run(
        [sys.executable, str(HARNESS / "forking_registered.py"), etcd.endpoint],
        env={**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    inherited = {
        "registered": False,
        "wait": "InheritedError",
        "withdraw": "InheritedError",
        "watch": "InheritedError",
        "closed": True,
    }
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each.pop("name"): each for each in said} == {
        "inherited": inherited,
        "own": {"registered": True, "found": ["svc/child", "svc/parent"], "seen": 2},
        "withdrawn": {"done": True},
        "restored": {"done": True},
        "status": {"status": 0},
        "parent": {"done": True, "same": True},
        "list": {"found": ["svc/parent"]},
    }, done.stderr
    assert etcd.entries("svc/") == []
    assert etcd.leases() == []
