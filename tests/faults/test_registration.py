"""What etcd goes through, and how its registrations come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import (
    AT_ONCE,
    TIMEOUT,
    WRITER,
    Certificates,
    Cluster,
    Etcd,
    EtcdctlError,
    Proxy,
    wait_until,
)
from harness.registrations import Told, holds
from harness.wire import Wire

from etcdnaming import Client, Endpoint, Registration, wire

KEY = "svc/e1"
HERE, THERE = Endpoint("1.2.3.4:80"), Endpoint("5.6.7.8:80")
TTL = 2


@contextmanager
def registered(client: Client, **options: Any) -> Iterator[tuple[Registration, Told]]:
    """Yield a registration at `KEY`, and what it tells."""
    told = Told()
    options = {"ttl": TTL, **options}
    with Registration(client, {KEY: HERE}, on_state=told, **options) as registration:
        told.clear()
        yield registration, told


@contextmanager
def relayed(etcd: Etcd, **options: Any) -> Iterator[tuple[Wire, Client]]:
    """Yield a client of *etcd*, and the wire between them."""
    with closing(Wire(etcd.endpoint)) as relay, Client([relay.endpoint], **options) as client:
        yield relay, client


def freeze(etcd: Etcd, seconds: float) -> None:
    """Let *etcd* stand still for so long."""
    etcd.freeze()
    time.sleep(seconds)
    etcd.thaw()


def away(etcd: Etcd, seconds: float) -> None:
    """Let there be no *etcd* for so long; then it has what it had."""
    etcd.stop()
    time.sleep(seconds)
    etcd.start()


def check_return(etcd: Etcd, registration: Registration, told: Told) -> None:
    """Check that it was lost once, and that all is as it should be again."""
    wait_until(lambda: "regained" in told.kinds)
    assert holds(etcd, KEY, HERE, registration.lease)
    assert etcd.leases() == [registration.lease]
    assert told.kinds.count("lost") == told.kinds.count("regained") == 1
    assert "error" not in told.kinds


@pytest.mark.server
@pytest.mark.parametrize("seconds", [0, 3 * TTL])
def test_a_stopped_etcd_gives_the_same_lease_back(
    own_etcd: Callable[..., Etcd], seconds: float
) -> None:
    """It gives all leases their time again when it starts; when it was quick nobody notices."""
    etcd = own_etcd()
    with (
        Client([etcd.endpoint]) as client,
        registered(client, ttl=TTL if seconds else 10) as (
            registration,
            told,
        ),
    ):
        lease, revision = registration.lease, etcd.entry(KEY).mod_revision
        away(etcd, seconds)
        if seconds:
            check_return(etcd, registration, told)
        time.sleep(1)
        assert told.kinds == (["lost", "regained"] if seconds else [])
        assert registration.lease == lease
        assert etcd.entry(KEY).mod_revision == revision


def test_a_loss_is_told_in_time_whatever_is_waited_for(own_etcd: Callable[..., Etcd]) -> None:
    """A call that etcd leaves without an answer, and a callback that takes its time."""
    etcd = own_etcd()
    lost: list[float] = []
    with Client([etcd.endpoint], dial_timeout=60, command_timeout=60) as client:
        registration = Registration(
            client, {KEY: HERE}, ttl=TTL, on_lost=lambda _: lost.append(time.monotonic())
        )
        with registration:
            etcd.freeze()
            frozen = time.monotonic()
            registration.set(KEY, THERE)  # is sent, and waited for
            wait_until(lambda: lost)
            assert lost[0] - frozen < TTL + AT_ONCE
            assert not registration.registered
            etcd.thaw()
            assert registration.wait(TIMEOUT)
            assert holds(etcd, KEY, THERE, registration.lease)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_it_comes_back_twenty_times_in_a_row(own_etcd: Callable[..., Etcd]) -> None:
    """Each time like the first."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, registered(client) as (registration, told):
        for _ in range(20):
            told.clear()
            away(etcd, 1.5 * TTL)
            check_return(etcd, registration, told)


@pytest.mark.server
def test_a_frozen_etcd_lets_the_lease_end_and_gives_another_one(
    own_etcd: Callable[..., Etcd],
) -> None:
    """With the same endpoint on it."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, registered(client) as (registration, told):
        lease = registration.lease
        freeze(etcd, 3 * TTL)
        check_return(etcd, registration, told)
        assert registration.lease != lease
        assert told.kinds == ["lost", "granted", "registered", "regained"]


@pytest.mark.parametrize("seconds", [0, TTL + 1])
def test_a_wiped_etcd_gets_everything_again(own_etcd: Callable[..., Etcd], seconds: float) -> None:
    """However quickly that went."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, registered(client) as (registration, told):
        etcd.stop()
        time.sleep(seconds)
        etcd.wipe()
        check_return(etcd, registration, told)


@pytest.mark.server
@pytest.mark.long
def test_a_wiped_etcd_behind_a_proxy_gets_everything_again(
    own_etcd: Callable[..., Etcd], grpc_proxy: Callable[..., Proxy]
) -> None:
    """The proxy's watch is deaf from then on, so a deletion is found by looking."""
    etcd = own_etcd()
    proxy = grpc_proxy(etcd)
    with Client([proxy.endpoint]) as client, registered(client, ttl=3) as (registration, told):
        etcd.wipe()
        wait_until(lambda: "regained" in told.kinds, timeout=60)
        assert holds(etcd, KEY, HERE, registration.lease)
        etcd.delete(KEY)
        wait_until(lambda: holds(etcd, KEY, HERE, registration.lease), timeout=60)
        assert etcd.leases() == [registration.lease]


def test_what_was_taken_over_in_an_outage_stays_taken(own_etcd: Callable[..., Etcd]) -> None:
    """Our lease has ended meanwhile, and with it our right to the key."""
    etcd = own_etcd()
    with relayed(etcd) as (relay, client), registered(client) as (_, told):
        relay.cut()
        wait_until(lambda: not etcd.leases())
        another = etcd.grant(60)
        etcd.put(KEY, wire.encode(THERE).decode(), another)
        relay.mend()
        wait_until(lambda: "taken_over" in told.kinds)
        assert told.of("taken_over").holder == another
        assert holds(etcd, KEY, THERE, another)
    assert holds(etcd, KEY, THERE, another)
    assert etcd.leases() == [another]


@pytest.mark.parametrize("breaks", [Wire.cut, Wire.hold])
def test_a_client_that_is_cut_off_for_less_than_a_ttl_says_nothing(
    own_etcd: Callable[..., Etcd], breaks: Callable[[Wire], None]
) -> None:
    """Not even that something could not be looked at."""
    etcd = own_etcd()
    with relayed(etcd) as (relay, client), registered(client, ttl=10) as (registration, told):
        lease = registration.lease
        breaks(relay)
        time.sleep(4)
        relay.mend()
        time.sleep(2)
        assert told == []
        assert registration.registered
        assert registration.lease == lease
        etcd.delete(KEY)
        wait_until(lambda: holds(etcd, KEY, HERE, lease))


def test_a_grant_without_an_answer_is_one_lease(own_etcd: Callable[..., Etcd]) -> None:
    """Its id is known: it is asked for again."""
    etcd = own_etcd()
    with relayed(etcd, command_timeout=0.5) as (relay, client):
        client.lease_time_to_live(1)  # now there is a connection
        relay.hold_answers()
        told = Told()
        with closing(Registration(client, {KEY: HERE}, on_state=told)) as registration:
            registration.start(wait=False)
            wait_until(lambda: "error" in told.kinds)
            assert "may have been applied" in told.of("error").reason
            (lease,) = etcd.leases()
            relay.mend()
            assert registration.wait(TIMEOUT)
            assert registration.lease == lease
            assert etcd.leases() == [lease]
        assert etcd.leases() == []


def test_a_grant_without_an_answer_is_revoked_when_it_ends_there(
    own_etcd: Callable[..., Etcd],
) -> None:
    """Although it never had it."""
    etcd = own_etcd()
    with relayed(etcd, command_timeout=0.5) as (relay, client):
        client.lease_time_to_live(1)
        relay.hold_answers()
        told = Told()
        registration = Registration(client, {KEY: HERE}, on_state=told)
        registration.start(wait=False)
        wait_until(lambda: "error" in told.kinds)
        assert etcd.leases()
        relay.mend()
        assert registration.close()
        assert etcd.leases() == []


@pytest.mark.server
def test_writes_that_are_refused_leak_no_lease(auth_etcd: Callable[..., Etcd]) -> None:
    """The one that was granted waits for the day."""
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    told = Told()
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        closing(Registration(client, {"other/e1": HERE}, on_state=told)) as registration,
    ):
        registration.start(wait=False)
        wait_until(lambda: "error" in told.kinds)
        for n in range(10):  # each of these is an attempt, too
            registration.set("other/e1", Endpoint(f"10.0.0.{n}"))
        time.sleep(0.5)
        assert told.kinds == ["granted", "error"]
        assert len(etcd.leases()) == 1
        etcd.ctl("role", "grant-permission", name, "readwrite", "other/", "--prefix")
        registration.set("other/e1", HERE)
        assert registration.wait(TIMEOUT)
        assert holds(etcd, "other/e1", HERE, registration.lease)
    assert etcd.leases() == []


@pytest.mark.server
def test_that_a_key_can_not_be_put_back_is_told(auth_etcd: Callable[..., Etcd]) -> None:
    """It is not registered then, although the lease lives."""
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        registered(client) as (registration, told),
    ):
        for permission in ("read", "readwrite"):
            etcd.ctl("role", "revoke-permission", name, "svc/", "--prefix")
            etcd.ctl("role", "grant-permission", name, permission, "svc/", "--prefix")
            if permission == "read":
                etcd.delete(KEY)
                wait_until(lambda: "error" in told.kinds)
                assert "permission denied" in told.of("error").reason
                wait_until(lambda: not registration.registered)
        registration.set(KEY, THERE)  # else it is tried every 30 s
        assert registration.wait(TIMEOUT)
        assert holds(etcd, KEY, THERE, registration.lease)
        assert told.kinds == ["error", "registered"]


def test_a_password_that_was_rotated_is_read_from_its_file(
    auth_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """When it is needed: a restart makes all tokens void."""
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    file = tmp_path / "password"
    file.write_text(password)
    with (
        Client([etcd.endpoint], user=name, password_file=str(file)) as client,
        registered(client) as (registration, told),
    ):
        file.write_text("rotated")  # first: from the next line on the old one is refused
        etcd.ctl("user", "passwd", "--interactive=false", name, input="rotated\n")
        etcd.stop()
        etcd.start()
        time.sleep(TTL)
        etcd.delete(KEY)
        wait_until(lambda: holds(etcd, KEY, HERE, registration.lease))
        assert "error" not in told.kinds, told.of("error")


def test_certificates_that_were_rotated_are_read_from_their_files(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """The authority included."""
    etcd = secure_etcd(mutual=True)
    with (
        Client(
            [f"https://{etcd.endpoint}"],
            cacert=str(certificates.ca),
            cert=str(certificates.client.cert),
            key=str(certificates.client.key),
        ) as client,
        registered(client) as (registration, _),
    ):
        etcd.stop()
        certificates.renew()
        etcd.start()
        wait_until(lambda: registration.registered)
        etcd.delete(KEY)
        wait_until(lambda: holds(etcd, KEY, HERE, registration.lease))


@pytest.mark.long
def test_a_member_that_freezes_or_dies_costs_nothing(cluster: Cluster) -> None:
    """The key is there all the time, and on the same lease."""
    endpoints = [each.endpoint for each in cluster.members]
    with Client(endpoints) as client, registered(client, ttl=6) as (registration, told):
        for breaks in (Etcd.freeze, Etcd.kill):
            for member in cluster.members:
                breaks(member)
                cluster.leader()
                end = time.monotonic() + 7
                while time.monotonic() < end:
                    awake = next(each for each in cluster.members if each is not member)
                    assert holds(awake, KEY, HERE, registration.lease)
                    time.sleep(0.2)
                if breaks is Etcd.freeze:
                    # A leader of old that thaws revokes what others kept alive (etcd#15247).
                    member.kill()
                cluster.start()
        assert told == []


@pytest.mark.long
def test_a_cluster_without_a_majority_gets_everything_again(cluster: Cluster) -> None:
    """Two of three stand still, then all are started again."""
    endpoints = [each.endpoint for each in cluster.members]
    with Client(endpoints) as client, registered(client, ttl=3) as (registration, told):
        for member in cluster.members[1:]:
            member.freeze()
        time.sleep(6)
        assert told.kinds[0] == "lost"
        cluster.start()
        wait_until(lambda: registration.registered, timeout=2 * TIMEOUT)
        assert holds(cluster, KEY, HERE, registration.lease)
        for member in cluster.members:
            member.kill()
        time.sleep(1)
        cluster.start()
        wait_until(lambda: registration.registered, timeout=2 * TIMEOUT)
        wait_until(lambda: holds(cluster, KEY, HERE, registration.lease))
        wait_until(lambda: cluster.leases() == [registration.lease])


FULL, ROOMY = "--quota-backend-bytes=1000000", "--quota-backend-bytes=100000000"


def fill(etcd: Etcd) -> None:
    """Let *etcd* have no space: it refuses every put and, if it is old, every transaction."""
    for n in range(3):
        etcd.put(f"large{n}", "x" * 500_000)
    etcd.stop()
    etcd.server_flags = (FULL,)
    etcd.start()
    with pytest.raises(EtcdctlError, match="database space exceeded"):
        etcd.put("more", "x")


def make_room(etcd: Etcd) -> None:
    """Let it have space again."""
    etcd.stop()
    etcd.server_flags = (ROOMY,)
    etcd.start()
    etcd.ctl("alarm", "disarm")


def test_unhealthy_endpoint_leaves_an_etcd_without_space(own_etcd: Callable[..., Etcd]) -> None:
    """If it can't be deleted, its lease is revoked; it is back when there is space again."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, registered(client, ttl=60) as (registration, told):
        fill(etcd)
        registration.withdraw()
        assert registration.wait(30)
        assert etcd.entries("svc/") == []
        assert told.of("withdrawn").key == KEY
        assert told.of("withdrawn").revision == etcd.revision()
        assert "lost" not in told.kinds
        registration.restore()
        wait_until(lambda: "error" in told.kinds)
        assert "database space exceeded" in told.of("error").reason
        assert not registration.wait(0)
        make_room(etcd)
        assert registration.wait(30)
        assert holds(etcd, KEY, HERE, registration.lease)
        assert etcd.leases() == [registration.lease]


def test_removed_endpoint_leaves_an_etcd_without_space(own_etcd: Callable[..., Etcd]) -> None:
    """The others on its lease go with it if they have to, and come back on another one."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, registered(client, ttl=60) as (registration, told):
        registration.set("svc/e2", THERE)
        assert registration.wait(30)
        fill(etcd)
        registration.remove("svc/e2")
        wait_until(lambda: "withdrawn" in told.kinds)
        assert not etcd.entries("svc/e2")
        make_room(etcd)
        assert registration.wait(30)
        assert holds(etcd, KEY, HERE, registration.lease)
        assert not etcd.entries("svc/e2")
        assert told.kinds.count("lost") == told.kinds.count("regained")


def test_registration_that_closes_leaves_an_etcd_without_space(
    own_etcd: Callable[..., Etcd],
) -> None:
    """And knows that nothing is left."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, registered(client, ttl=60) as (registration, told):
        fill(etcd)
        assert registration.close(30)
        assert etcd.entries("svc/") == []
        assert etcd.leases() == []
        assert told.of("left").key == KEY
        assert "error" not in told.kinds
