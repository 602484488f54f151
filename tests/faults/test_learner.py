"""A learner, which is a member without a vote: it answers, but serves no requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest
from harness import Etcd, Run, Spawn, wait_until
from harness.etcdctl import EtcdctlError
from harness.learner import Learner
from harness.registering import ADDR, KEY, REGISTER

from etcdnaming import Client, Endpoint, EndpointManager
from etcdnaming.errors import RefusedError

pytestmark = pytest.mark.server

SOON = ("--dial-timeout", "2s", "--command-timeout", "1m")


@pytest.fixture
def voter(own_etcd: Callable[..., Etcd]) -> Etcd:
    """The only voting member."""
    return own_etcd()


@pytest.fixture
def learner(voter: Etcd) -> Iterator[Learner]:
    """The member without a vote."""
    with closing(Learner(voter)) as learner:
        learner.start()
        yield learner


def reason(learner: Learner) -> str:
    """Return the error of a client that can reach only *learner*."""
    return (
        f"{learner.endpoint}: this member is a learner, which serves no requests: "
        "promote it, or use the endpoint of a voting member"
    )


def test_call_uses_another_member_when_the_first_is_a_learner(
    voter: Etcd, learner: Learner
) -> None:
    """Reads and writes go to the voting member."""
    with Client([learner.endpoint, voter.endpoint]) as client:
        manager = EndpointManager(client, "svc")
        manager.add_endpoint("svc/e1", Endpoint("1.2.3.4:80"))
        assert [each.key for each in manager.list().endpoints] == ["svc/e1"]


def test_call_fails_after_the_dial_timeout_when_only_a_learner_is_reached(
    learner: Learner,
) -> None:
    """A learner counts like an endpoint that can't be reached."""
    with Client([learner.endpoint], dial_timeout=2, command_timeout=60) as client:
        manager = EndpointManager(client, "svc")
        for call in (
            manager.list,
            lambda: manager.add_endpoint("svc/e1", Endpoint("1.2.3.4:80")),
            lambda: client.lease_grant(10),
        ):
            with pytest.raises(RefusedError) as refused:
                call()
            assert str(refused.value) == reason(learner)


def test_watch_reports_the_reason_when_only_a_learner_is_reached(
    spawn: Spawn, learner: Learner
) -> None:
    """The watch continues when the learner becomes a voting member."""
    process = spawn("watch", "svc", "--endpoints", learner.endpoint, *SOON)
    process.wait_for_err(f"Warning: not connected yet: {reason(learner)}\n", timeout=30)
    promote(learner)
    process.wait_for_err(f"connected to {learner.endpoint}\n", timeout=30)


def test_wait_reports_the_reason_when_only_a_learner_is_reached(
    spawn: Spawn, learner: Learner
) -> None:
    """The command succeeds when the learner becomes a voting member."""
    process = spawn("wait", "svc", "--max=0", "--endpoints", learner.endpoint, *SOON)
    process.wait_for_err(f"Warning: not connected yet: {reason(learner)}\n", timeout=30)
    promote(learner)
    assert process.finish(timeout=40).status == 0


def test_wait_reports_the_reason_at_its_timeout_when_only_a_learner_is_reached(
    learner: Learner,
) -> None:
    """The reason is in the last line of stderr."""
    result = Run(learner.endpoint)("wait", "svc", "--timeout=5s", *SOON)
    assert result.status == 124
    assert result.err.splitlines()[-1] == (
        f"Error: timed out after 5s: not connected: {reason(learner)}"
    )


def test_lease_register_reports_the_reason_when_only_a_learner_is_reached(
    spawn: Spawn, voter: Etcd, learner: Learner
) -> None:
    """The command registers when the learner becomes a voting member."""
    process = spawn(*REGISTER, "--endpoints", learner.endpoint, *SOON, "--", "cat")
    process.wait_for_err(f"Warning: {reason(learner)}\n", timeout=30)
    promote(learner)
    process.wait_for_err("OK\n", timeout=30)
    assert [*voter.get(KEY)] == [KEY.encode()]
    assert ADDR in voter.get(KEY)[KEY.encode()].decode()


def promote(learner: Learner) -> None:
    """Promote *learner* as soon as it has received all data of the voting member."""
    wait_until(lambda: is_promoted(learner), timeout=30)


def is_promoted(learner: Learner) -> bool:
    """Try to promote *learner*, and return whether this succeeded."""
    members = learner.voter.ctl_json("member", "list")["members"]
    member = next(f"{each['ID']:x}" for each in members if each.get("isLearner"))
    with suppress(EtcdctlError):
        return "promoted" in learner.voter.ctl("member", "promote", member)
    return False
