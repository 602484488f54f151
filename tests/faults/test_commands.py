"""Every command gets by without one member of three, and says what became of a write."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from harness import AT_ONCE, Cluster, Etcd, Run

# What a command may take: the dial timeout and the command timeout, and what a busy machine needs.
MOST = 2.0 + 5.0 + AT_ONCE

COMMANDS = (
    ("add", "svc/e1", "--addr", "1.2.3.4:80"),
    ("add", "svc/e2", "--addr", "1.2.3.5:80", "--ttl", "60"),
    ("txn-update", "--add", "svc/e3=1.2.3.6:80", "--add", "svc/e4=1.2.3.7:80", "--del", "svc/e1"),
    ("list", "svc"),
    ("list", "svc", "--count-only"),
    ("list", "--services", "svc/"),
    ("del", "svc/e3"),
    ("del", "--all", "svc/", "--yes"),
)


@pytest.mark.parametrize("breaks", ["kill", "freeze"])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_every_command_gets_by_without_one_member(
    cluster: Cluster, run: Run, breaks: str, which: int
) -> None:
    """Wherever it stands on the list, killed or frozen."""
    member = cluster.members[which]
    member.kill() if breaks == "kill" else member.freeze()
    cluster.leader()  # a write while the others still believe in a dead one has no fate
    endpoints = ",".join(each.endpoint for each in cluster.members)
    for command in COMMANDS:
        start = time.monotonic()
        result = run("--endpoints", endpoints, *command)
        assert result.status == 0, (command, result)
        assert time.monotonic() - start < MOST, command


def test_without_a_majority_a_write_says_that_its_fate_is_unknown(
    cluster: Cluster, run: Run
) -> None:
    """In one line, with an exit code of its own, and in time."""
    asked, *others = cluster.members
    for member in others:
        member.freeze()
    start = time.monotonic()
    result = run("--endpoints", asked.endpoint, "add", "svc/e1", "--addr", "1.2.3.4:80")
    assert time.monotonic() - start < MOST
    assert (result.status, result.out) == (1, "")
    assert result.err.endswith("the change may have been applied\n")
    assert result.err.count("\n") == 1


def test_without_a_majority_a_read_is_as_if_there_were_no_etcd(cluster: Cluster, run: Run) -> None:
    """But what one member knows can be had."""
    asked, *others = cluster.members
    for member in others:
        member.freeze()
    start = time.monotonic()
    result = run("--endpoints", asked.endpoint, "list", "svc")
    assert time.monotonic() - start < MOST
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert run("--endpoints", asked.endpoint, "list", "svc", "--consistency", "s").status == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_no_etcd_is_one_line_that_names_what_was_tried(
    own_etcd: Callable[..., Etcd], run: Run, command: tuple[str, ...]
) -> None:
    """Refused by one, unanswered by the other."""
    frozen = own_etcd()
    frozen.freeze()
    endpoints = f"127.0.0.1:1,{frozen.endpoint}"
    result = run("--endpoints", endpoints, "--dial-timeout", "500ms", *command)
    assert (result.status, result.out) == (2, "")
    assert result.err == (
        "Error: no etcd endpoint reached within 0.5s: 127.0.0.1:1: connection refused; "
        f"{frozen.endpoint}: no answer\n"
    )
