"""A program forks while it has a client and a channel, which the README allows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from harness import Etcd
from harness.backends import Backends
from harness.watcher import stored

HARNESS = Path(__file__).parent.parent / "harness"

GRPC = tuple(map(int, grpc.__version__.split(".")[:2]))
CLOSED = {"error": "Cannot invoke RPC on closed channel!"}

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize("environment", [{}, {"GRPC_ENABLE_FORK_SUPPORT": "1"}])
def test_channel_works_in_both_processes_when_the_fork_comes_first(
    etcd: Etcd, environment: dict[str, str]
) -> None:
    """The setting of gRPC's fork support does not matter."""
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


def test_child_uses_inherited_objects_and_creates_new_ones_after_a_fork(etcd: Etcd) -> None:
    """
    An inherited channel keeps its last endpoints, and their age grows; old gRPC closes it.

    One that is closed in the child and not used there ends like any other.
    """
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
        "first": {"who": addr},
        "inherited": {"who": addr, "aging": True, "endpoints": 1} if GRPC >= (1, 85) else CLOSED,
        "read": {"addr": addr},
        "own": {"who": addr},
        "closed": {"endpoints": 0},
        "child": {"endpoints": 2},
        "parent": {"endpoints": 2},
        "watched": {"changes": 1},
        "status": {"status": 0},
    }, done.stderr


def test_child_registers_without_changing_the_registration_of_its_parent(etcd: Etcd) -> None:
    """The child uses the inherited client, beside a watch and a channel of its own."""
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
