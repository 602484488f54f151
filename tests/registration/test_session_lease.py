"""The lease of a registration: when a new one is asked for after a loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from harness import Etcd

from etcdnaming.etcd import Client
from etcdnaming.etcd.lease import LeaseKeeper
from etcdnaming.registration.session_lease import OUTAGE_SPREAD, SessionLease
from etcdnaming.registration.status import LeaseHealth

TTL = 60


@pytest.fixture
def keeper(client: Client) -> Iterator[LeaseKeeper]:
    """Yield what keeps the leases of ``client`` alive."""
    with closing(LeaseKeeper(client)) as keeper:
        yield keeper


def lost(client: Client, keeper: LeaseKeeper, *, silent: bool) -> SessionLease:
    """Return a lease that was granted and is lost; *silent*: etcd did not answer for a TTL."""
    health = LeaseHealth()
    lease = SessionLease(client, keeper, health, lambda *_: None, lambda _: None)
    assert lease.acquire(TTL) == 0.0
    if silent:
        assert health.update(lease.id, silent=True)
    lease.drop("gone")
    return lease


def test_leases_lost_in_one_outage_are_replaced_over_several_seconds(
    etcd: Etcd, client: Client, keeper: LeaseKeeper
) -> None:
    """A thousand registrations must not ask all at once when etcd is back."""
    pauses = [lost(client, keeper, silent=True).acquire(TTL) for _ in range(60)]
    assert max(pauses) <= OUTAGE_SPREAD == 2.0
    assert max(pauses) > 1.5
    assert min(pauses) < 0.5


def test_lease_that_alone_is_lost_is_replaced_soon(
    etcd: Etcd, client: Client, keeper: LeaseKeeper
) -> None:
    """Unless it is lost again and again before it was renewed once."""
    assert max(lost(client, keeper, silent=False).acquire(TTL) for _ in range(20)) <= 0.2

    lease = lost(client, keeper, silent=False)
    assert max(_pauses_of(lease)) > 0.2


def _pauses_of(lease: SessionLease) -> Iterator[float]:
    for _ in range(20):
        lease.drop("gone")
        yield lease.acquire(TTL)
