"""Registrations survive faults of etcd and of the network."""

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
from harness.registrations import EventLog, holds
from harness.wire import Wire

from etcdnaming import Client, Endpoint, Registration, RegistrationEvent, wire
from etcdnaming.registration import loop, reconciler

KEY = "svc/e1"
HERE, THERE = Endpoint("1.2.3.4:80"), Endpoint("5.6.7.8:80")
TTL = 2


@contextmanager
def registered(client: Client, **options: Any) -> Iterator[tuple[Registration, EventLog]]:
    """Yield a registration at `KEY`, and its events."""
    events = EventLog()
    options = {"ttl": TTL, **options}
    with Registration(client, {KEY: HERE}, on_state=events, **options) as registration:
        events.clear()
        yield registration, events


@contextmanager
def relayed(etcd: Etcd, **options: Any) -> Iterator[tuple[Wire, Client]]:
    """Yield a client of *etcd*, and the relay between them."""
    with closing(Wire(etcd.endpoint)) as relay, Client([relay.endpoint], **options) as client:
        yield relay, client


def freeze(etcd: Etcd, seconds: float) -> None:
    """Freeze *etcd* for so many seconds."""
    etcd.freeze()
    time.sleep(seconds)
    etcd.thaw()


def away(etcd: Etcd, seconds: float) -> None:
    """Stop *etcd* for so many seconds, without losing its data."""
    etcd.stop()
    time.sleep(seconds)
    etcd.start()


def check_return(etcd: Etcd, registration: Registration, events: EventLog) -> None:
    """Check that the registration was lost once, and is complete again."""
    wait_until(lambda: "regained" in events.kinds)
    assert holds(etcd, KEY, HERE, registration.lease)
    assert etcd.leases() == [registration.lease]
    assert events.kinds.count("lost") == events.kinds.count("regained") == 1
    assert "error" not in events.kinds


@pytest.mark.server
@pytest.mark.parametrize("seconds", [0, 3 * TTL])
def test_registration_keeps_its_lease_when_etcd_restarts(
    own_etcd: Callable[..., Etcd], seconds: float
) -> None:
    """etcd extends all leases when it starts; a quick restart is not even reported."""
    etcd = own_etcd()
    with (
        Client([etcd.endpoint]) as client,
        registered(client, ttl=TTL if seconds else 10) as (
            registration,
            events,
        ),
    ):
        lease, revision = registration.lease, etcd.entry(KEY).mod_revision
        away(etcd, seconds)
        if seconds:
            check_return(etcd, registration, events)
        time.sleep(1)
        assert events.kinds == (["lost", "regained"] if seconds else [])
        assert registration.lease == lease
        assert etcd.entry(KEY).mod_revision == revision


def test_registration_reports_a_loss_in_time_while_it_waits(own_etcd: Callable[..., Etcd]) -> None:
    """For a call that etcd does not answer, or for a slow callback."""
    etcd = own_etcd()
    lost: list[float] = []

    def note(event: RegistrationEvent) -> None:
        if event.kind == "lost":
            lost.append(time.monotonic())

    with Client([etcd.endpoint], dial_timeout=60, command_timeout=60) as client:
        registration = Registration(client, {KEY: HERE}, ttl=TTL, on_state=note)
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
def test_registration_returns_after_twenty_outages(own_etcd: Callable[..., Etcd]) -> None:
    """Each time as after the first."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, registered(client) as (registration, events):
        for _ in range(20):
            events.clear()
            away(etcd, 1.5 * TTL)
            check_return(etcd, registration, events)


@pytest.mark.server
def test_registration_gets_a_new_lease_when_a_frozen_etcd_expires_the_old_one(
    own_etcd: Callable[..., Etcd],
) -> None:
    """With the same endpoint on it."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, registered(client) as (registration, events):
        lease = registration.lease
        freeze(etcd, 3 * TTL)
        check_return(etcd, registration, events)
        assert registration.lease != lease
        assert events.kinds == ["lost", "granted", "registered", "regained"]


@pytest.mark.parametrize("seconds", [0, TTL + 1])
def test_registration_returns_when_etcd_is_wiped(
    own_etcd: Callable[..., Etcd], seconds: float
) -> None:
    """However quickly that went."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, registered(client) as (registration, events):
        etcd.stop()
        time.sleep(seconds)
        etcd.wipe()
        check_return(etcd, registration, events)


@pytest.mark.server
@pytest.mark.long
def test_registration_returns_when_etcd_behind_a_proxy_is_wiped(
    own_etcd: Callable[..., Etcd], grpc_proxy: Callable[..., Proxy]
) -> None:
    """The proxy's watch reports nothing afterwards, so the regular check finds a deletion."""
    etcd = own_etcd()
    proxy = grpc_proxy(etcd)
    with Client([proxy.endpoint]) as client, registered(client, ttl=3) as (registration, events):
        etcd.wipe()
        wait_until(lambda: "regained" in events.kinds, timeout=60)
        assert holds(etcd, KEY, HERE, registration.lease)
        etcd.delete(KEY)
        wait_until(lambda: holds(etcd, KEY, HERE, registration.lease), timeout=60)
        assert etcd.leases() == [registration.lease]


def test_registration_leaves_a_key_that_was_taken_over_in_an_outage(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The lease has ended meanwhile, and with it the right to the key."""
    etcd = own_etcd()
    with relayed(etcd) as (relay, client), registered(client) as (_, events):
        relay.cut()
        wait_until(lambda: not etcd.leases())
        another = etcd.grant(60)
        etcd.put(KEY, wire.encode(THERE).decode(), another)
        relay.mend()
        wait_until(lambda: "taken_over" in events.kinds)
        assert events.of("taken_over").holder == another
        assert holds(etcd, KEY, THERE, another)
    assert holds(etcd, KEY, THERE, another)
    assert etcd.leases() == [another]


@pytest.mark.parametrize("breaks", [Wire.cut, Wire.hold])
def test_registration_reports_nothing_when_cut_off_for_less_than_a_ttl(
    own_etcd: Callable[..., Etcd], breaks: Callable[[Wire], None]
) -> None:
    """Not even that the keys could not be read."""
    etcd = own_etcd()
    with relayed(etcd) as (relay, client), registered(client, ttl=10) as (registration, events):
        lease = registration.lease
        breaks(relay)
        time.sleep(4)
        relay.mend()
        time.sleep(2)
        assert events == []
        assert registration.registered
        assert registration.lease == lease
        etcd.delete(KEY)
        wait_until(lambda: holds(etcd, KEY, HERE, lease))


def test_registration_repeats_an_unanswered_grant_with_the_same_lease(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The lease id is known, so the same lease is asked for again."""
    etcd = own_etcd()
    with relayed(etcd, command_timeout=0.5) as (relay, client):
        client.lease_time_to_live(1)  # now there is a connection
        relay.hold_answers()
        events = EventLog()
        with closing(Registration(client, {KEY: HERE}, on_state=events)) as registration:
            registration.start(wait=False)
            wait_until(lambda: "error" in events.kinds)
            assert "may have been applied" in events.of("error").reason
            (lease,) = etcd.leases()
            relay.mend()
            assert registration.wait(TIMEOUT)
            assert registration.lease == lease
            assert etcd.leases() == [lease]
        assert etcd.leases() == []


def test_registration_revokes_an_unanswered_grant_when_it_closes(
    own_etcd: Callable[..., Etcd],
) -> None:
    """Although it never held the lease."""
    etcd = own_etcd()
    with relayed(etcd, command_timeout=0.5) as (relay, client):
        client.lease_time_to_live(1)
        relay.hold_answers()
        events = EventLog()
        registration = Registration(client, {KEY: HERE}, on_state=events)
        registration.start(wait=False)
        wait_until(lambda: "error" in events.kinds)
        assert etcd.leases()
        relay.mend()
        assert registration.close()
        assert etcd.leases() == []


@pytest.mark.server
def test_registration_leaks_no_lease_when_writes_are_refused(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """The granted lease is kept for the next attempt."""
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    events = EventLog()
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        closing(Registration(client, {"other/e1": HERE}, on_state=events)) as registration,
    ):
        registration.start(wait=False)
        wait_until(lambda: "error" in events.kinds)
        for n in range(10):  # each of these is an attempt, too
            registration.set("other/e1", Endpoint(f"10.0.0.{n}"))
        time.sleep(0.5)
        assert events.kinds == ["granted", "error"]
        assert len(etcd.leases()) == 1
        etcd.ctl("role", "grant-permission", name, "readwrite", "other/", "--prefix")
        registration.set("other/e1", HERE)
        assert registration.wait(TIMEOUT)
        assert holds(etcd, "other/e1", HERE, registration.lease)
    assert etcd.leases() == []


def test_registration_registers_the_other_keys_when_one_is_refused(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """They are watched, move to a new lease, and are deleted when the registration closes."""
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    events = EventLog()
    endpoints = {f"{target}/e{n}": HERE for n in (1, 2, 3) for target in ("svc", "other")}
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        closing(Registration(client, endpoints, on_state=events)) as registration,
    ):
        registration.start(wait=False)
        wait_until(lambda: events.kinds.count("error") == 3)
        refused = [event for event in events if event.kind == "error"]
        assert [str(event) for event in refused] == [
            f"{event.key} is refused: etcdserver: permission denied: "
            f"user 'writer' needs readwrite permission on {event.key}"
            for event in refused
        ]
        assert [event.key for event in refused] == ["other/e1", "other/e2", "other/e3"]
        keys = ["svc/e1", "svc/e2", "svc/e3"]
        assert sorted(registration.endpoints) == keys
        assert [entry.key.decode() for entry in etcd.entries("")] == keys
        assert not registration.registered
        etcd.delete("svc/e2")
        wait_until(lambda: holds(etcd, "svc/e2", HERE, registration.lease))
        etcd.revoke(registration.lease)
        wait_until(lambda: "regained" in events.kinds)
        assert [entry.lease for entry in etcd.entries("")] == [registration.lease] * 3
        assert registration.close()
    assert etcd.entries("") == []
    assert etcd.leases() == []


def test_registration_reports_some_keys_and_a_number_when_many_are_refused(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """Each key is reported once, also when its deletion is refused at the end."""
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    events = EventLog()
    endpoints = {f"other/e{n:02}": HERE for n in range(40)}
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        closing(Registration(client, endpoints, on_state=events)) as registration,
    ):
        registration.start(wait=False)
        wait_until(lambda: "error" in events.kinds)
        registration.set("other/e00", THERE)  # another attempt
        registration.set("svc/e1", HERE)
        wait_until(lambda: "registered" in events.kinds)
        before = [(event.key, event.reason) for event in events if event.kind == "error"]
        etcd.ctl("role", "revoke-permission", name, "svc/", "--prefix")
        registration.close()

    assert [key for key, _ in before] == [f"other/e{n:02}" for n in range(10)] + [""]
    assert before[-1][1] == "30 more endpoints are refused"
    # Before the end, the key may have been read again, because its watch was refused.
    *refused, lease = [event for event in events if event.kind == "error"][len(before) :]
    assert {event.key for event in refused} == {"svc/e1"}
    assert "keys of lease" in lease.reason


def test_registration_registers_the_other_keys_when_very_many_are_refused(
    auth_etcd: Callable[..., Etcd], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One attempt does not find them all out, but each begins with other keys."""
    monkeypatch.setattr(loop, "REFUSED_RETRY_PAUSE", 0.2)
    monkeypatch.setattr(reconciler, "MAX_REFUSALS", 10)
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    endpoints = {f"other/e{n:02}": HERE for n in range(40)} | {"svc/e1": HERE, "svc/e2": HERE}
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        closing(Registration(client, endpoints, on_state=EventLog())) as registration,
    ):
        registration.start(wait=False)
        wait_until(lambda: sorted(registration.endpoints) == ["svc/e1", "svc/e2"])
        assert len(etcd.entries("")) == 2


@pytest.mark.parametrize(
    ("sizes", "missing"), [((700_000,) * 3, 0), ((10, 2_000_000, 10), 1)], ids=["together", "one"]
)
def test_registration_registers_the_other_keys_when_values_are_too_large(
    etcd: Etcd, client: Client, sizes: tuple[int, ...], missing: int
) -> None:
    """Each value is below etcd's limit, but not all in one request; or one of them is not."""
    endpoints = {f"svc/e{n}": Endpoint("1:1", "x" * size) for n, size in enumerate(sizes)}
    events = EventLog()
    with closing(Registration(client, endpoints, on_state=events)) as registration:
        registration.start(wait=False)
        wait_until(lambda: len(registration.endpoints) == len(sizes) - missing)
        assert len(etcd.entries("svc/")) == len(sizes) - missing
        wait_until(lambda: events.kinds.count("error") == missing)
        assert all(event.key == "svc/e1" for event in events if event.kind == "error")
        registration.set("svc/e1", HERE)
        assert registration.wait(TIMEOUT)
    assert etcd.entries("svc/") == []


@pytest.mark.server
def test_registration_reports_a_key_that_cannot_be_put_back(auth_etcd: Callable[..., Etcd]) -> None:
    """It is not registered then, although the lease is alive."""
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        registered(client) as (registration, events),
    ):
        for permission in ("read", "readwrite"):
            etcd.ctl("role", "revoke-permission", name, "svc/", "--prefix")
            etcd.ctl("role", "grant-permission", name, permission, "svc/", "--prefix")
            if permission == "read":
                etcd.delete(KEY)
                wait_until(lambda: "error" in events.kinds)
                assert "permission denied" in events.of("error").reason
                wait_until(lambda: not registration.registered)
        registration.set(KEY, THERE)  # else it is tried every 30 s
        assert registration.wait(TIMEOUT)
        assert holds(etcd, KEY, THERE, registration.lease)
        wait_until(lambda: events.kinds == ["error", "registered"])


def test_registration_is_not_registered_when_its_key_was_detached_and_cannot_be_written(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """The key does not expire with our lease any more, so nothing vouches for it."""
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        registered(client) as (registration, events),
    ):
        etcd.ctl("role", "revoke-permission", name, "svc/", "--prefix")
        etcd.ctl("role", "grant-permission", name, "read", "svc/", "--prefix")
        etcd.put(KEY, "another value")
        wait_until(lambda: "error" in events.kinds)
        wait_until(lambda: not registration.registered)


def test_registration_reads_a_rotated_password_from_its_file(
    auth_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """When it is needed: a restart makes all tokens invalid."""
    etcd = auth_etcd()
    name, _, password = WRITER.partition(":")
    file = tmp_path / "password"
    file.write_text(password)
    with (
        Client([etcd.endpoint], user=name, password_file=str(file)) as client,
        registered(client) as (registration, events),
    ):
        file.write_text("rotated")  # first: from the next line on the old one is refused
        etcd.ctl("user", "passwd", "--interactive=false", name, input="rotated\n")
        etcd.stop()
        etcd.start()
        time.sleep(TTL)
        etcd.delete(KEY)
        wait_until(lambda: holds(etcd, KEY, HERE, registration.lease))
        assert "error" not in events.kinds, events.of("error")


def test_registration_reads_rotated_certificates_from_their_files(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """The CA included."""
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
def test_registration_stays_when_a_member_freezes_or_dies(cluster: Cluster) -> None:
    """The key exists all the time, and on the same lease."""
    endpoints = [each.endpoint for each in cluster.members]
    with Client(endpoints) as client, registered(client, ttl=6) as (registration, events):
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
        assert events == []


@pytest.mark.long
def test_registration_returns_when_a_cluster_loses_its_majority(cluster: Cluster) -> None:
    """Two of three members freeze, then all are restarted."""
    endpoints = [each.endpoint for each in cluster.members]
    with Client(endpoints) as client, registered(client, ttl=3) as (registration, events):
        for member in cluster.members[1:]:
            member.freeze()
        time.sleep(6)
        assert events.kinds[0] == "lost"
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
    """Fill *etcd*: it refuses every put and, if it is old, every transaction."""
    for n in range(3):
        etcd.put(f"large{n}", "x" * 500_000)
    etcd.stop()
    etcd.server_flags = (FULL,)
    etcd.start()
    with pytest.raises(EtcdctlError, match="database space exceeded"):
        etcd.put("more", "x")


def make_room(etcd: Etcd) -> None:
    """Make space in *etcd* again."""
    etcd.stop()
    etcd.server_flags = (ROOMY,)
    etcd.start()
    etcd.ctl("alarm", "disarm")


def test_registration_withdraws_from_an_etcd_without_space(own_etcd: Callable[..., Etcd]) -> None:
    """If the key can't be deleted, its lease is revoked; it returns when there is space again."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, registered(client, ttl=60) as (registration, events):
        fill(etcd)
        registration.withdraw()
        assert registration.wait(30)
        assert etcd.entries("svc/") == []
        assert events.of("withdrawn").key == KEY
        assert events.of("withdrawn").revision == etcd.revision()
        assert "lost" not in events.kinds
        registration.restore()
        wait_until(lambda: "error" in events.kinds)
        assert "database space exceeded" in events.of("error").reason
        assert not registration.wait(0)
        make_room(etcd)
        assert registration.wait(30)
        assert holds(etcd, KEY, HERE, registration.lease)
        assert etcd.leases() == [registration.lease]
        assert "lost" not in events.kinds


def test_registration_removes_a_key_from_an_etcd_without_space(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The other keys go with the lease if necessary, and return on another one."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, registered(client, ttl=60) as (registration, events):
        registration.set("svc/e2", THERE)
        assert registration.wait(30)
        fill(etcd)
        registration.remove("svc/e2")
        wait_until(lambda: "withdrawn" in events.kinds)
        assert not etcd.entries("svc/e2")
        make_room(etcd)
        assert registration.wait(30)
        assert holds(etcd, KEY, HERE, registration.lease)
        assert not etcd.entries("svc/e2")
        wait_until(lambda: events.kinds.count("lost") == events.kinds.count("regained"))


def test_registration_closes_on_an_etcd_without_space(
    own_etcd: Callable[..., Etcd],
) -> None:
    """And reports that nothing is left."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, registered(client, ttl=60) as (registration, events):
        fill(etcd)
        assert registration.close(30)
        assert etcd.entries("svc/") == []
        assert etcd.leases() == []
        assert events.of("left").key == KEY
        assert "error" not in events.kinds
