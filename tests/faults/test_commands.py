"""Commands on a cluster with failed members: they succeed, or report the outcome of a write."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from harness import AT_ONCE, Cluster, Etcd, Run

# The dial timeout, the command timeout, and a margin for a busy machine.
MOST = 2.0 + 5.0 + AT_ONCE

QUICK = ("--dial-timeout", "500ms", "--command-timeout", "500ms")

COMMANDS = (
    ("add", "svc/e1", "--addr", "1.2.3.4:80"),
    ("add", "svc/e2", "--addr", "1.2.3.5:80", "--ttl", "60"),
    ("txn-update", "--add", "svc/e3=1.2.3.6:80", "--add", "svc/e4=1.2.3.7:80", "--del", "svc/e1"),
    ("list", "svc"),
    ("list", "svc", "--count-only"),
    ("export", "svc"),
    ("list", "--services", "svc/"),
    ("del", "svc/e3"),
    ("del", "--all", "svc/", "--yes"),
)


@pytest.mark.parametrize("breaks", ["kill", "freeze"])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_commands_succeed_when_one_of_three_members_is_down(
    cluster: Cluster, run: Run, breaks: str, which: int
) -> None:
    """The member is killed or frozen, at any position of the list."""
    member = cluster.members[which]
    member.kill() if breaks == "kill" else member.freeze()
    cluster.leader()  # writes have an unknown outcome while the others still follow a dead leader
    endpoints = ",".join(each.endpoint for each in cluster.members)
    for command in COMMANDS:
        start = time.monotonic()
        result = run("--endpoints", endpoints, *command)
        assert result.status == 0, (command, result)
        assert time.monotonic() - start < MOST, command


def test_command_reports_that_there_is_no_leader_when_there_is_no_majority(
    cluster: Cluster, run: Run
) -> None:
    """Nothing was applied. A serializable read succeeds, because one member can answer it."""
    alone = cluster.isolate()
    for command in COMMANDS:
        start = time.monotonic()
        result = run("--endpoints", alone.endpoint, *QUICK, *command)
        assert time.monotonic() - start < MOST, command
        assert result.err == "Error: etcdserver: no leader\n", command
        assert (result.status, result.out) == (2, ""), command
    serializable = "list", "svc", "--consistency", "s"
    assert run("--endpoints", alone.endpoint, *serializable).status == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_command_names_all_endpoints_in_one_line_when_none_is_reached(
    own_etcd: Callable[..., Etcd], run: Run, command: tuple[str, ...]
) -> None:
    """One endpoint refuses the connection, the other does not answer."""
    frozen = own_etcd()
    frozen.freeze()
    endpoints = f"127.0.0.1:1,{frozen.endpoint}"
    result = run("--endpoints", endpoints, "--dial-timeout", "500ms", *command)
    assert (result.status, result.out) == (2, "")
    assert result.err == (
        "Error: no etcd endpoint reached within 0.5s: 127.0.0.1:1: connection refused; "
        f"{frozen.endpoint}: no answer\n"
    )
