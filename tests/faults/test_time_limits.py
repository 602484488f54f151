"""A command ends within its dial and command timeouts together, however many calls it makes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pytest
from harness import Etcd, Run
from harness.hostile import HostileProxy

from etcdnaming import Client, Endpoint, EndpointManager
from etcdnaming.errors import ConnectionFailedError
from etcdnaming.etcd import within

DIAL, COMMAND = 1.0, 20.0
DELAY = 1.6
"""Seconds that the first answer takes: more than the dial timeout, so that a limit shows."""


@pytest.fixture
def proxy(etcd: Etcd) -> Iterator[HostileProxy]:
    """A proxy in front of ``etcd``."""
    with HostileProxy(etcd.endpoint) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("args", "first", "second"),
    [
        (["add", "svc/e1", "--addr", "1:1", "--ttl", "60"], "LeaseGrant", "Txn"),
        (["add", "svc/e1", "--addr", "1:1", "--ttl", "60", "--if-absent"], "Txn", "LeaseRevoke"),
        (["del", "--all", "svc/", "--yes"], "Range", "DeleteRange"),
        (["list", "svc", "-w", "table"], "Range", "LeaseTimeToLive"),
    ],
)
def test_second_call_of_a_command_has_the_time_that_the_first_one_left(
    *, etcd: Etcd, run: Run, proxy: HostileProxy, args: Sequence[str], first: str, second: str
) -> None:
    """The test reads the deadline sent with the call, which a busy machine can't extend."""
    etcd.put("svc/e1", '{"Addr":"1:1"}', etcd.grant(600))
    proxy.delays[first] = DELAY

    run(
        *("--endpoints", proxy.endpoint),
        *("--dial-timeout", f"{DIAL}s", "--command-timeout", f"{COMMAND}s"),
        *args,
    )

    # gRPC sends a deadline with three digits, rounded up.
    assert proxy.remaining[second][0] < DIAL + COMMAND - DELAY + 0.2


@pytest.mark.long
def test_each_batch_has_the_time_limit_of_a_command(
    run: Run, etcd: Etcd, proxy: HostileProxy
) -> None:
    """Five batches take 2 s each, which together exceeds the 6 s that each of them has."""
    proxy.delays["Txn"] = 2.0
    updates = [{"op": "add", "key": f"svc/e{each}", "addr": "1:1"} for each in range(5)]

    result = run(
        *("--endpoints", proxy.endpoint, "--dial-timeout", "1s", "--command-timeout", "5s"),
        *("txn-update", "-", "--batch-size", "1"),
        input=json.dumps(updates),
    )

    assert (result.status, result.out) == (0, "SUCCESS\n")
    assert len(etcd.get("svc/")) == 5


def test_write_is_not_sent_when_no_time_is_left(etcd: Etcd, client: Client) -> None:
    """The error does not say that it may have been applied."""
    manager = EndpointManager(client, "svc")
    manager.list()  # connects
    with within(client.timeout) as deadline:
        deadline.cut()
        with pytest.raises(ConnectionFailedError, match=r"no time is left of 7s, nothing was sent"):
            manager.add_endpoint("svc/e1", Endpoint("1:1"))
    assert etcd.get("svc/") == {}
