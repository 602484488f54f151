"""LeaseKeeper: how often it renews leases, and what it reports when etcd does not answer."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import grpc
import pytest
from harness import AT_ONCE, WRITER, Cluster, Etcd, Proxy, wait_until
from harness.failing import failing
from harness.hostile import HostileProxy
from harness.metrics import metric
from harness.relay import Relay

from etcdnaming.errors import LeaseNotFoundError
from etcdnaming.etcd import Client
from etcdnaming.etcd.lease import LeaseKeeper, LeaseState, _Kept
from etcdnaming.model import Lease

ALIVE, SILENT, GONE = LeaseState.ALIVE, LeaseState.SILENT, LeaseState.GONE
THREADS = {"etcdnaming-leases", "etcdnaming-keepalive"}


class Reported(list[LeaseState]):
    """The reported states of a lease."""

    why = ""

    def __call__(self, state: LeaseState, why: str) -> None:
        """Record a state and its reason."""
        self.append(state)
        self.why = why


@contextmanager
def kept(client: Client, ttl: int) -> Iterator[tuple[Lease, Reported]]:
    """Yield a lease that is kept alive, and the states that are reported for it."""
    lease, reported = client.lease_grant(ttl), Reported()
    with closing(LeaseKeeper(client)) as keeper:
        keeper.keep(lease, reported)
        yield lease, reported


def asked(etcd: Etcd) -> float:
    """Return how many keep-alive requests *etcd* has received."""
    return metric(etcd, "grpc_server_msg_received_total", "LeaseKeepAlive")


def answered(etcd: Etcd) -> float:
    """Return how many keep-alive requests *etcd* has answered."""
    return metric(etcd, "grpc_server_msg_sent_total", "LeaseKeepAlive")


def streams(etcd: Etcd) -> float:
    """Return how many keep-alive streams *etcd* has seen."""
    return metric(etcd, "grpc_server_started_total", "LeaseKeepAlive")


def threads() -> set[str]:
    """Return the names of the running threads that keep leases alive."""
    return {thread.name for thread in threading.enumerate()} & THREADS


def remaining(etcd: Etcd, lease: Lease) -> int:
    """Return the remaining seconds of *lease*."""
    ttl: int = etcd.ctl_json("lease", "timetolive", f"{lease.id:x}")["ttl"]
    return ttl


def test_lease_is_renewed_three_times_per_ttl(etcd: Etcd, client: Client) -> None:
    """The lease never gets close to its expiry."""
    before = asked(etcd)
    with kept(client, 6) as (lease, reported):
        wait_until(lambda: asked(etcd) > before)
        before, begin = asked(etcd), time.monotonic()
        time.sleep(lease.ttl)
        expected = 3 * (time.monotonic() - begin) / lease.ttl
        assert expected - 1.5 <= asked(etcd) - before <= expected + 1.5
        assert reported == []
        assert remaining(etcd, lease) >= 1


@pytest.mark.long
def test_lease_is_renewed_at_the_expected_rate_for_a_minute(etcd: Etcd, client: Client) -> None:
    """There are at most 10% more requests than expected, and fewer only on a busy machine."""
    with kept(client, 3):
        time.sleep(1)
        before = asked(etcd)
        time.sleep(60)
        assert 48 <= asked(etcd) - before <= 66


def test_lease_renewal_is_not_repeated_while_an_answer_is_pending(
    own_etcd: Callable[..., Etcd],
) -> None:
    """A pending request is repeated only on a new stream, and only once there."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, kept(client, 10) as (_, reported):
        wait_until(lambda: asked(etcd))
        before, streams_before = asked(etcd), streams(etcd)
        etcd.freeze()
        time.sleep(7)  # two thirds of a TTL, after which the next renewal is due
        etcd.thaw()
        time.sleep(0.5)
        new_streams = streams(etcd) - streams_before
        assert asked(etcd) - before <= 2 + new_streams
        assert reported == []


def test_lease_is_reported_silent_after_a_ttl_without_answers_and_then_alive(
    own_etcd: Callable[..., Etcd],
) -> None:
    """After its restart etcd still has the lease, which is reported alive again."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, kept(client, 3) as (lease, reported):
        wait_until(lambda: asked(etcd))
        stopping = time.monotonic()
        etcd.stop()
        stopped = time.monotonic()
        wait_until(lambda: reported)
        silent = time.monotonic()
        assert reported == [SILENT]
        assert lease.ttl / 3 < silent - stopping
        assert silent - stopped < lease.ttl + AT_ONCE
        assert reported.why.startswith("no answer for 3 s: ")
        time.sleep(lease.ttl)
        etcd.start()
        wait_until(lambda: len(reported) > 1)
        assert reported == [SILENT, ALIVE]


def test_short_outage_of_etcd_is_not_reported(
    own_etcd: Callable[..., Etcd],
) -> None:
    """A restart that takes less than the TTL changes no state."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, kept(client, 30) as (_, reported):
        for _ in range(3):
            wait_until(lambda: asked(etcd))  # the counter begins at zero after each start
            etcd.stop()
            etcd.start()
        assert reported == []


@pytest.mark.server
@pytest.mark.parametrize("through_a_proxy", [False, True])
def test_revoked_lease_is_reported_gone(
    etcd: Etcd, grpc_proxy: Callable[..., Proxy], through_a_proxy: bool
) -> None:
    """etcd reports a TTL of 0 for such a lease, its proxy -1."""
    endpoint = grpc_proxy(etcd).endpoint if through_a_proxy else etcd.endpoint
    before = asked(etcd)
    with Client([endpoint]) as client, kept(client, 2) as (lease, reported):
        wait_until(lambda: asked(etcd) > before)
        etcd.revoke(lease.id)
        wait_until(lambda: reported)
        assert reported == [GONE]


def test_lease_is_reported_gone_when_it_expired_in_a_frozen_etcd(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The lease is reported silent first, because its state is unknown until etcd answers again."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, kept(client, 2) as (_, reported):
        wait_until(lambda: asked(etcd))
        etcd.freeze()
        time.sleep(5)
        etcd.thaw()
        wait_until(lambda: len(reported) == 2)
        assert reported == [SILENT, GONE]


@pytest.mark.long
def test_lease_keepalive_moves_to_another_member_when_one_freezes(cluster: Cluster) -> None:
    """The change is quick enough for the lease never to be reported silent."""
    first = cluster.followers()[0]
    others = [each for each in cluster.members if each is not first]
    endpoints = [first.endpoint, *(each.endpoint for each in others)]
    with Client(endpoints) as client, kept(client, 6) as (lease, reported):
        wait_until(lambda: asked(first))
        first.freeze()
        time.sleep(2 * lease.ttl)
        assert reported == []
        assert sum(asked(each) for each in others)


class OneAnswer(Relay):
    """A relay that ends every stream of keep-alive requests after one answer, without an error."""

    keepalives = 0

    def call(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Count the streams, which are calls with one request here."""
        self.keepalives += method.endswith("/LeaseKeepAlive")
        return super().call(method, request, context)


def test_lease_keepalive_moves_to_another_member_when_one_ends_its_stream(etcd: Etcd) -> None:
    """The member answers everything else."""
    before, relay = asked(etcd), OneAnswer(etcd.endpoint)
    with (
        relay,
        Client([relay.endpoint, etcd.endpoint]) as client,
        kept(client, 4) as (_, reported),
    ):
        wait_until(lambda: asked(etcd) - before > 2)
        assert relay.keepalives == 1
        assert reported == []


def test_lease_keepalive_leaves_a_member_without_a_leader(cluster: Cluster) -> None:
    """A member without a leader keeps the stream open, but never answers."""
    first, second, third = cluster.members
    endpoints = [each.endpoint for each in cluster.members]
    with Client(endpoints) as client, kept(client, 3) as (lease, reported):
        wait_until(lambda: sum(map(asked, cluster.members)))
        second.freeze()
        third.freeze()
        wait_until(lambda: reported)
        assert reported == [SILENT]
        time.sleep(lease.ttl)
        cluster.start()
        wait_until(lambda: len(reported) > 1)
        assert reported[1] in {ALIVE, GONE}  # a new leader renews every lease once
    assert first.running


@pytest.mark.long
def test_thousand_leases_share_one_stream(own_etcd: Callable[..., Etcd]) -> None:
    """A thousand leases need less than a third of a core."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, closing(LeaseKeeper(client)) as keeper:
        reported = Reported()
        for _ in range(1000):
            keeper.keep(client.lease_grant(6), reported)
        wait_until(lambda: asked(etcd) >= 1000)
        before, used = asked(etcd), time.process_time()
        time.sleep(20)
        assert 8_000 < asked(etcd) - before < 12_000
        assert time.process_time() - used < 20 * 0.3
        assert reported == []
        assert streams(etcd) == 1
        assert len(etcd.leases()) == 1000
        assert threads() == THREADS


@pytest.mark.server
def test_forgotten_lease_expires(etcd: Etcd, client: Client) -> None:
    """The lease expires after its TTL, and no state is reported."""
    reported = Reported()
    with closing(LeaseKeeper(client)) as keeper:
        lease, other = client.lease_grant(2), client.lease_grant(2)
        keeper.keep(lease, reported)
        keeper.keep(other, reported)
        keeper.forget(lease.id)
        wait_until(lambda: etcd.leases() == [other.id])
        assert reported == []


def test_lease_keeper_closes_immediately_when_etcd_does_not_answer(
    own_etcd: Callable[..., Etcd],
) -> None:
    """All its threads end, too."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client:
        with kept(client, 10):
            wait_until(lambda: asked(etcd))
            etcd.freeze()
            start = time.monotonic()
        assert time.monotonic() - start < AT_ONCE
        wait_until(lambda: not threads())


@pytest.mark.server
def test_lease_stays_alive_when_a_restart_makes_its_token_invalid(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """etcd 3.5.1 renews leases without a token; later ones refuse an old token."""
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        kept(client, 6) as (_, reported),
    ):
        wait_until(lambda: asked(etcd))
        etcd.stop()
        etcd.start()
        wait_until(lambda: answered(etcd) >= 2)
        assert reported == []


def test_lease_stays_alive_when_its_token_is_refused(auth_etcd: Callable[..., Etcd]) -> None:
    """The token is renewed by another call, although no other call is made by the program."""
    name, _, password = WRITER.partition(":")
    with (
        HostileProxy(auth_etcd().endpoint) as proxy,
        Client([proxy.endpoint], user=name, password=password) as client,
    ):
        lease, reported = client.lease_grant(6), Reported()
        proxy.refuse_known_tokens()
        with closing(LeaseKeeper(client)) as keeper:
            keeper.keep(lease, reported)
            wait_until(lambda: proxy.answered["LeaseKeepAlive"] >= 2)
        assert reported == []


def test_repeated_grant_with_the_same_id_returns_the_same_lease(etcd: Etcd, client: Client) -> None:
    """With an ID of its own, a grant can be repeated when no answer came."""
    for _ in range(2):
        assert client.lease_grant(60, lease=4711).id == 4711
    assert etcd.leases() == [4711]
    client.lease_revoke(4711)
    with pytest.raises(LeaseNotFoundError):
        client.lease_revoke(4711)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (LeaseKeeper, "opened"),
        (LeaseKeeper, "received"),
        (LeaseKeeper, "_attend_to"),
        (_Kept, "ask"),
    ],
)
@pytest.mark.usefixtures("caplog")  # the error is logged
def test_lease_is_kept_alive_after_an_unexpected_error(
    etcd: Etcd, client: Client, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """The error may occur in the thread that sends requests or in the one that receives answers."""
    with failing(monkeypatch, owner, name), kept(client, 3) as (lease, _):
        before = asked(etcd)
        wait_until(lambda: asked(etcd) > before + 3, timeout=30)
        assert remaining(etcd, lease) >= 1


@pytest.mark.usefixtures("caplog")  # the error is logged
def test_listener_error_of_one_lease_does_not_affect_other_leases(
    etcd: Etcd, client: Client
) -> None:
    """The other leases stay alive even if the listener fails again and again."""
    raised: list[str] = []

    def fail(state: LeaseState, why: str) -> None:
        raised.append(why)
        raise MemoryError(why)

    with kept(client, 3) as (lease, reported), closing(LeaseKeeper(client)) as keeper:
        bad, good = client.lease_grant(3), client.lease_grant(3)
        keeper.keep(bad, fail)
        keeper.keep(good, reported)
        etcd.revoke(bad.id)
        wait_until(lambda: len(raised) > 2, timeout=30)
        assert sorted(etcd.leases()) == sorted([lease.id, good.id])
        assert reported == []


@pytest.mark.parametrize("gone", [False, True])
def test_lease_that_is_no_longer_kept_alive_is_not_kept_in_memory(
    etcd: Etcd, client: Client, gone: bool
) -> None:
    """Its next renewal would be in an hour."""
    lease, reported, before = client.lease_grant(10800), Reported(), answered(etcd)
    if gone:
        etcd.revoke(lease.id)
    with closing(LeaseKeeper(client)) as keeper:
        keeper.keep(lease, reported)
        listener = weakref.ref(reported)
        del reported
        wait_until(lambda: answered(etcd) > before)
        if not gone:
            keeper.forget(lease.id)
        wait_until(lambda: listener() is None)


def test_lease_lives_for_a_ttl_from_its_request_on() -> None:
    """Not from the answer on, which may come late: etcd counts from when it got the request."""
    lease = _Kept(Lease(1, 6), Reported(), lambda _: None, 100.0)
    assert lease.deadline == 106.0
    lease.ask(104.0)
    assert 105.8 <= lease.due <= 106.3
    lease.answered(104.0, 9)
    assert lease.deadline == 113.0
    assert (lease.asked, lease.ttl) == (None, 9)


def test_lease_waits_for_its_answer_for_almost_half_a_ttl(client: Client) -> None:
    """The grpc-proxy answers after a third of a TTL; an answer for another lease counts, too."""
    with closing(LeaseKeeper(client)) as keeper:
        lease = _Kept(Lease(1, 60), Reported(), lambda _: None, 100.0)
        lease.ask(100.0)
        assert keeper._answer_due(lease) == 127.0
        keeper._last_answer = 120.0
        assert keeper._answer_due(lease) == 147.0


def test_lease_with_a_short_ttl_needs_attention_before_it_ends() -> None:
    """Its next request is due in less than a second."""
    with Client(["127.0.0.1:1"]) as client, closing(LeaseKeeper(client)) as keeper:
        keeper.keep(Lease(1, 1), Reported())
        keeper.opened()
        [lease] = keeper._kept.values()
        left = keeper._attend_to(lease)
        assert left is None or left <= 0.4


def test_lease_is_reported_blocked_once_for_each_reason() -> None:
    """After a good answer it may be blocked again."""
    reported = Reported()
    lease = _Kept(Lease(1, 6), reported, lambda _: None, 100.0)
    for why in "a file", "a file", "the login":
        lease.block(why)
    assert reported == [LeaseState.BLOCKED] * 2
    lease.answered(104.0, 6)
    lease.block("the login")
    assert reported == [LeaseState.BLOCKED] * 3
