"""Registration: register, heal, change, take over and close, against a real etcd."""

from __future__ import annotations

import logging
import operator
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
from harness import AT_ONCE, READER, TIMEOUT, WRITER, Etcd, wait_until
from harness.hostile import HostileProxy
from harness.ports import free_port
from harness.registrations import EventLog, holds
from harness.wire import Wire

from etcdnaming import Client, Endpoint, Registration, RegistrationEvent, wire
from etcdnaming.endpoints import transaction
from etcdnaming.errors import (
    AuthenticationError,
    ClientClosedError,
    ClosedError,
    InvalidEndpointError,
    InvalidSettingError,
    InvalidTargetError,
    KeyHeldError,
    PermissionDeniedError,
)
from etcdnaming.etcd import rpc
from etcdnaming.model import Update
from etcdnaming.registration import loop

KEY = "svc/e1"
HERE, THERE = Endpoint("1.2.3.4:80"), Endpoint("5.6.7.8:80", {"weight": 1})
DRAINED = Endpoint("1.2.3.4:80", {"weight": 0})


@contextmanager
def registered(
    client: Client, endpoint: Endpoint = HERE, **options: Any
) -> Iterator[tuple[Registration, EventLog]]:
    """Yield a registration of *endpoint* at `KEY`, and its events."""
    events = EventLog()
    options = {"ttl": 10, **options}
    with Registration(client, {KEY: endpoint}, on_state=events, **options) as registration:
        yield registration, events


@pytest.mark.server
def test_registration_holds_endpoints_while_the_block_runs(etcd: Etcd, client: Client) -> None:
    """All endpoints are on one lease; afterwards neither they nor the lease exist."""
    endpoints = {f"svc/e{n}": Endpoint(f"10.0.0.{n}:80") for n in range(3)}
    events = EventLog()
    with Registration(client, endpoints, ttl=5, on_state=events) as registration:
        assert registration.registered
        assert registration.endpoints == endpoints
        assert etcd.leases() == [registration.lease]
        for key, endpoint in endpoints.items():
            assert holds(etcd, key, endpoint, registration.lease)
    assert etcd.entries("svc/") == []
    assert etcd.leases() == []
    assert events.kinds == ["granted", *["registered"] * 3, *["left"] * 3, "revoked"]
    assert (events[0].lease, events[0].ttl) == (events[-1].lease, 5)
    assert (registration.registered, registration.lease) == (False, 0)


def test_registration_logs_its_events_when_there_is_no_callback(
    etcd: Etcd, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """What is unusual is a warning, the rest information; the text is the event's."""
    etcd.put(KEY, '{"Addr":"1.1.1.1:1"}', lease=etcd.grant(60))
    holder = etcd.entry(KEY).lease
    with caplog.at_level(logging.INFO, "etcdnaming"), Registration(client, {KEY: HERE}) as held:
        lease = f"the registration of {KEY}: lease {held.lease:016x}"
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("INFO", f"{lease} granted, with a TTL of 10s"),
        ("WARNING", f"{KEY} was taken over from lease {holder:016x}"),
        ("INFO", f"{KEY} is deregistered"),
        ("INFO", f"{lease} revoked"),
    ]


def test_registration_block_begins_at_once_when_it_does_not_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also while etcd is away, which is logged."""
    with (
        Client(f"127.0.0.1:{free_port()}", dial_timeout=0.1) as client,
        Registration(client, {KEY: HERE}, wait=False) as registration,
    ):
        wait_until(lambda: "no etcd endpoint reached" in caplog.text)
        assert not registration.wait(timeout=0)
        assert repr(registration) == f"<Registration of {KEY}: not registered>"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (RegistrationEvent("registered", key=KEY), f"{KEY} is registered"),
        (
            RegistrationEvent("changed", key=KEY, endpoint=DRAINED),
            f'{KEY} was changed by another client to 1.2.3.4:80 {{"weight":0}}; keeping it',
        ),
        (RegistrationEvent("regained", seconds=1.25), "registered again after 1.2s"),
        (RegistrationEvent("conflict", key=KEY, holder=42), f"{KEY} is held by lease {42:016x}"),
    ],
)
def test_registration_event_is_a_sentence(event: RegistrationEvent, text: str) -> None:
    """Its `repr` has only the attributes that are set."""
    assert str(event).startswith(text)
    assert "ttl" not in repr(event)


def test_registration_logs_an_address_that_cannot_be_dialled(
    etcd: Etcd, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start and when it is set later."""
    with registered(client, Endpoint(":")) as (registration, _):
        registration.set("svc/e2", Endpoint("1.2.3.4:0"))
        registration.set("svc/e3", HERE)
        wait_until(lambda: len(etcd.entries("svc/")) == 3)

    assert caplog.messages == [
        f"{KEY}: gRPC clients can't dial it: the address ':' has neither host nor port",
        "svc/e2: gRPC clients can't dial it: the address '1.2.3.4:0' needs a port from 1 to 65535",
    ]


class Succeeding(Client):
    """A client that counts transactions, and revokes a predecessor's *lease* in the middle."""

    def __init__(self, etcd: Etcd, lease: int) -> None:
        super().__init__([etcd.endpoint])
        self._etcd, self._lease, self.transactions = etcd, lease, 0

    def _txn(self, request: rpc.TxnRequest) -> rpc.TxnResponse:
        """Write, after the revocation once all keys were found to exist."""
        if self.transactions == 30:  # after all keys were found to exist
            self._etcd.revoke(self._lease)
        self.transactions += 1
        return super()._txn(request)


def test_registration_writes_large_batches_when_a_predecessors_lease_ends(etcd: Etcd) -> None:
    """A large registration starts while etcd deletes the keys of the previous one."""
    endpoints = {f"svc/e{n:04}": Endpoint(f"10.0.0.1:{n}") for n in range(960)}
    lease = etcd.grant(600)
    adds = [Update.add(key, endpoint, lease=lease) for key, endpoint in endpoints.items()]
    with Client([etcd.endpoint]) as predecessor:
        for first in range(0, 960, 96):
            transaction.update(predecessor, adds[first : first + 96])
    successor = Succeeding(etcd, lease)
    with successor, Registration(successor, endpoints) as registration:
        assert {entry.lease for entry in etcd.entries("svc/")} == {registration.lease}
        assert successor.transactions == 3 * 30


@pytest.mark.server
def test_registration_uses_one_lease_for_more_endpoints_than_a_transaction_takes(
    etcd: Etcd, client: Client
) -> None:
    """They are written in several transactions."""
    endpoints = {f"svc/e{n:04}": Endpoint(f"10.0.0.1:{n}") for n in range(1000)}
    with Registration(client, endpoints) as registration:
        assert {entry.lease for entry in etcd.entries("svc/")} == {registration.lease}
        assert len(etcd.entries("svc/")) == 1000
        for key in ("svc/e0000", "svc/e0999"):
            etcd.delete(key)
        wait_until(lambda: len(etcd.entries("svc/")) == 1000)
    assert etcd.entries("svc/") == []


@pytest.mark.server
def test_registration_knows_when_its_lease_was_renewed(etcd: Etcd, client: Client) -> None:
    """As a Unix time, with the granted TTL; without a lease there is none."""
    begin = time.time()
    registration = Registration(client, {KEY: HERE}, ttl=4)
    assert registration.renewal is None
    with registration:
        assert registration.renewal
        ttl, first = registration.renewal
        assert (ttl, begin - 1 < first <= time.time()) == (4, True)
        wait_until(lambda: registration.renewal and registration.renewal[1] > first + 1)
    assert registration.renewal is None


def test_registration_puts_a_deleted_key_back_on_the_same_lease(etcd: Etcd, client: Client) -> None:
    """After every deletion."""
    with registered(client) as (registration, events):
        for _ in range(20):
            etcd.delete(KEY)
            wait_until(lambda: holds(etcd, KEY, HERE, registration.lease))
        assert etcd.leases() == [registration.lease]
        wait_until(lambda: events.of("registered").reason == "it was deleted")


@pytest.mark.server
def test_registration_attaches_a_key_that_was_put_without_a_lease(
    etcd: Etcd, client: Client
) -> None:
    """Otherwise it would outlive the process."""
    with registered(client) as (registration, events):
        etcd.put(KEY, wire.encode(THERE).decode())
        wait_until(lambda: holds(etcd, KEY, HERE, registration.lease))
        wait_until(lambda: events.of("registered").reason == "it was put without a lease")


@pytest.mark.server
def test_registration_keeps_a_value_edited_on_its_lease(etcd: Etcd, client: Client) -> None:
    """An operator drains one instance so; the value stays when the lease is replaced."""
    with registered(client) as (registration, events):
        transaction.update(client, [Update.add(KEY, DRAINED)])
        wait_until(lambda: "changed" in events.kinds)
        assert events.of("changed").endpoint == DRAINED
        assert registration.endpoints == {KEY: DRAINED}
        etcd.delete(KEY)
        wait_until(lambda: holds(etcd, KEY, DRAINED, registration.lease))
        etcd.revoke(registration.lease)
        wait_until(lambda: "regained" in events.kinds)
        assert holds(etcd, KEY, DRAINED, registration.lease)
    assert etcd.entries("svc/") == []


@pytest.mark.server
def test_registration_keeps_an_edited_value_that_cannot_be_read(etcd: Etcd, client: Client) -> None:
    """The key was edited on the registration's lease on purpose."""
    with registered(client) as (registration, events):
        etcd.ctl("put", "--ignore-lease", "--", KEY, "no JSON")
        wait_until(lambda: "changed" in events.kinds)
        assert events.of("changed").endpoint is None
        assert registration.endpoints == {KEY: None}
        registration.set(KEY, HERE)
        wait_until(lambda: holds(etcd, KEY, HERE, registration.lease))


@pytest.mark.server
def test_registration_replaces_a_revoked_lease(etcd: Etcd, client: Client) -> None:
    """The loss is reported once, and only the new lease is left."""
    with registered(client) as (registration, events):
        first = registration.lease
        etcd.revoke(first)
        wait_until(lambda: "regained" in events.kinds)
        regained = events.of("regained")
        assert events.kinds[2:] == ["lost", "granted", "registered", "regained"]
        assert regained.lease == registration.lease != first
        assert regained.seconds < AT_ONCE
        assert holds(etcd, KEY, HERE, registration.lease)
        assert etcd.leases() == [registration.lease]


@pytest.mark.server
def test_registration_leaves_a_deleted_key_with_on_delete_leave(etcd: Etcd, client: Client) -> None:
    """It is not put back with a new lease either; the other keys are."""
    events = EventLog()
    endpoints = {KEY: HERE, "svc/e2": THERE}
    with Registration(client, endpoints, on_delete="leave", on_state=events) as registration:
        etcd.delete(KEY)
        wait_until(lambda: "deleted" in events.kinds)
        assert registration.wait(0)
        etcd.revoke(registration.lease)
        wait_until(lambda: "regained" in events.kinds)
        assert [entry.key for entry in etcd.entries("svc/")] == [b"svc/e2"]
        assert not registration.registered


@pytest.mark.server
def test_registration_restores_keys_of_a_lost_lease_with_on_delete_leave(
    etcd: Etcd, client: Client
) -> None:
    """The keys went with the lease; no client deleted them."""
    with registered(client, on_delete="leave") as (registration, events):
        etcd.revoke(registration.lease)
        wait_until(lambda: "regained" in events.kinds)
        assert holds(etcd, KEY, HERE, registration.lease)
        assert "deleted" not in events.kinds


@pytest.mark.server
def test_registration_adds_changes_and_removes_endpoints(etcd: Etcd, client: Client) -> None:
    """On the same lease; the last value wins."""
    with registered(client) as (registration, events):
        registration.set("svc/e2", HERE)
        registration.set("svc/e2", THERE)
        registration.set(KEY, DRAINED)
        assert registration.wait(TIMEOUT)
        assert holds(etcd, "svc/e2", THERE, registration.lease)
        assert holds(etcd, KEY, DRAINED, registration.lease)
        assert registration.endpoints == {KEY: DRAINED, "svc/e2": THERE}
        registration.remove(KEY)
        wait_until(lambda: "withdrawn" in events.kinds)
        assert [entry.key for entry in etcd.entries("svc/")] == [b"svc/e2"]
        assert registration.endpoints == {"svc/e2": THERE}
        registration.set(KEY, HERE)
        assert registration.wait(TIMEOUT)
        assert registration.registered
    assert etcd.entries("svc/") == []


def test_registration_withdraws_and_restores_endpoints(
    etcd: Etcd, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease stays."""
    monkeypatch.setattr(loop, "LEAVE_TIMEOUT", TIMEOUT)  # a busy etcd may need more than 1.9 s
    with registered(client, ttl=4) as (registration, events):
        lease = registration.lease
        for _ in range(3):
            registration.withdraw()
            wait_until(lambda: not etcd.entries("svc/"))
            assert registration.wait(TIMEOUT)
            assert not registration.registered
            registration.restore()
            wait_until(lambda: holds(etcd, KEY, HERE, lease))
        registration.withdraw()
        time.sleep(5)  # longer than the TTL
        assert etcd.entries("svc/") == []
        assert etcd.leases() == [lease]
        assert events.kinds.count("withdrawn") == 4
        assert {event.reason for event in events} == {""}
        assert registration.close(TIMEOUT)
    assert etcd.leases() == []


@pytest.mark.server
def test_registration_wait_returns_when_etcd_holds_what_was_requested(
    etcd: Etcd, client: Client
) -> None:
    """However soon it is called: a drain is `withdraw` and `wait`."""
    with registered(client) as (registration, _):
        for _ in range(20):
            registration.withdraw()
            assert registration.wait(10)
            assert etcd.entries("svc/") == []
            assert registration.endpoints == {}
            registration.restore()
            assert registration.wait(10)
            assert holds(etcd, KEY, HERE, registration.lease)
            registration.set("svc/e2", THERE)
            assert registration.wait(10)
            assert holds(etcd, "svc/e2", THERE, registration.lease)
            assert registration.endpoints == {KEY: HERE, "svc/e2": THERE}
            registration.remove("svc/e2")
            assert registration.wait(10)
            assert [entry.key for entry in etcd.entries("svc/")] == [KEY.encode()]


def test_registration_wait_goes_on_while_a_removed_endpoint_may_be_stored(etcd: Etcd) -> None:
    """A write without an answer may have been applied."""
    with (
        closing(Wire(etcd.endpoint)) as relay,
        Client([relay.endpoint], command_timeout=0.5) as client,
        registered(client) as (registration, _),
    ):
        relay.hold_answers()
        registration.set("svc/e2", THERE)
        wait_until(lambda: etcd.entries("svc/e2"))
        registration.remove("svc/e2")
        assert not registration.wait(2)
        relay.mend()
        assert registration.wait(30)
        assert [entry.key for entry in etcd.entries("svc/")] == [KEY.encode()]


def test_registrations_leave_nothing_when_all_close_at_once(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred of them, each in a thread, with a distant etcd."""
    monkeypatch.setattr(loop, "LEAVE_TIMEOUT", 12.0)  # of each; here, all of them have as much
    with closing(Wire(etcd.endpoint)) as relay, Client([relay.endpoint]) as client:
        all_of_them = [Registration(client, {f"svc/e{n:03}": HERE}) for n in range(200)]
        for each in all_of_them:
            each.start(wait=False)
        assert all(each.wait(30) for each in all_of_them)
        threads = threading.active_count()
        relay.delay = 0.03  # one after another they would take 24 seconds
        with ThreadPoolExecutor(len(all_of_them)) as pool:
            assert all(pool.map(lambda each: each.close(12), all_of_them))
        assert etcd.entries("svc/") == []
        assert etcd.leases() == []
        wait_until(lambda: threading.active_count() < threads)


class Stuck(Client):
    """A client whose writes of `THERE` get no answer until *free* is set."""

    def __init__(self, etcd: Etcd) -> None:
        super().__init__([etcd.endpoint])
        self.stuck, self.free = threading.Event(), threading.Event()

    def _txn(self, request: rpc.TxnRequest) -> rpc.TxnResponse:
        """Write, perhaps later."""
        if any(each.request_put.value == wire.encode(THERE) for each in request.success):
            self.stuck.set()
            self.free.wait(30)
        return super()._txn(request)


def test_registration_closes_while_another_one_waits_for_etcd(etcd: Etcd) -> None:
    """The other one's request is not answered."""
    client = Stuck(etcd)
    with client, registered(client) as (first, _):
        second = Registration(client, {"svc/e2": HERE})
        second.start()
        first.set(KEY, THERE)
        assert client.stuck.wait(10)
        assert second.close(10)
        assert [entry.key for entry in etcd.entries("svc/")] == [KEY.encode()]
        client.free.set()
        assert first.wait(10)


@pytest.mark.server
def test_registration_ends_when_its_client_is_closed(etcd: Etcd) -> None:
    """That is reported, and the remaining keys expire with the lease."""
    before = threading.active_count()
    events = EventLog()
    client = Client([etcd.endpoint])
    registration = Registration(client, {KEY: HERE}, ttl=2, on_state=events)
    registration.start()
    client.close()
    wait_until(lambda: not registration.registered)
    with pytest.raises(ClientClosedError):
        registration.wait(10)
    assert events.kinds == ["granted", "registered", "lost"]
    assert not registration.close()
    with pytest.raises(ClientClosedError):
        Registration(client, {KEY: HERE}).start()
    wait_until(lambda: threading.active_count() <= before)
    wait_until(lambda: not etcd.entries("svc/"))


@pytest.mark.server
def test_registration_does_not_restore_a_key_that_was_taken_over(
    etcd: Etcd, client: Client
) -> None:
    """Only the first registration may take over."""
    with registered(client) as (registration, events):
        registration.withdraw()
        wait_until(lambda: not etcd.entries("svc/"))
        lease = etcd.grant(60)
        etcd.put(KEY, "{}", lease)
        registration.restore()
        wait_until(lambda: "taken_over" in events.kinds)
        assert events.of("taken_over").holder == lease
    assert etcd.lease_of(KEY) == lease


@pytest.mark.server
def test_registration_leaves_a_key_that_another_one_takes_over(etcd: Etcd, client: Client) -> None:
    """It does not heal, delete or register the key again."""
    with registered(client) as (first, events):
        with registered(client, THERE) as (second, told_by_second):
            assert told_by_second.of("registered").holder == first.lease
            wait_until(lambda: "taken_over" in events.kinds)
            assert events.of("taken_over").holder == second.lease
            assert first.wait(0)
            assert not first.registered
            etcd.revoke(first.lease)
            wait_until(lambda: "regained" in events.kinds)
            first.close()
            assert holds(etcd, KEY, THERE, second.lease)
            assert etcd.leases() == [second.lease]
        assert etcd.entries("svc/") == []


@pytest.mark.server
def test_registration_stays_away_after_the_one_that_took_over_has_left(
    etcd: Etcd, client: Client
) -> None:
    """The key was given up for good."""
    with registered(client) as (_, events):
        with registered(client, THERE):
            wait_until(lambda: "taken_over" in events.kinds)
        time.sleep(0.5)
        assert etcd.entries("svc/") == []


@pytest.mark.server
def test_registration_fails_on_a_held_key_with_on_conflict_fail(etcd: Etcd, client: Client) -> None:
    """Nothing of the second one stays, the endpoints that were free included."""
    with registered(client) as (first, _):
        events = EventLog()
        second = Registration(
            client, {"svc/e0": THERE, KEY: THERE}, on_conflict="fail", on_state=events
        )
        with pytest.raises(KeyHeldError, match=f"{KEY} is held by lease {first.lease:016x}"):
            second.start()
        assert events.of("conflict").holder == first.lease
        assert etcd.leases() == [first.lease]
        assert [entry.key for entry in etcd.entries("svc/")] == [KEY.encode()]
        assert holds(etcd, KEY, HERE, first.lease)
        with pytest.raises(KeyHeldError):
            second.wait()


def test_registration_goes_on_when_a_key_added_later_is_held_with_on_conflict_fail(
    etcd: Etcd, client: Client
) -> None:
    """Only the first registration of all keys fails as a whole."""
    events = EventLog()
    with (
        registered(client) as (first, _),
        Registration(client, {"svc/e2": THERE}, on_conflict="fail", on_state=events) as second,
    ):
        second.set(KEY, THERE)
        wait_until(lambda: "conflict" in events.kinds)
        second.set("svc/e2", HERE)
        wait_until(lambda: holds(etcd, "svc/e2", HERE, second.lease))
        assert holds(etcd, KEY, HERE, first.lease)


@pytest.mark.server
def test_registration_takes_a_key_without_a_lease_with_on_conflict_fail(
    etcd: Etcd, client: Client
) -> None:
    """A key without a lease is not held."""
    etcd.put(KEY, "{}")
    with registered(client, on_conflict="fail") as (registration, _):
        assert holds(etcd, KEY, HERE, registration.lease)


@pytest.mark.server
def test_registration_registers_after_the_holder_leaves_with_on_conflict_wait(
    etcd: Etcd, client: Client
) -> None:
    """As soon as the key is free."""
    events = EventLog()
    with closing(Registration(client, {KEY: THERE}, on_conflict="wait", on_state=events)) as second:
        with registered(client) as (first, _):
            second.start(wait=False)
            wait_until(lambda: "waiting" in events.kinds)
            assert events.of("waiting").holder == first.lease
            assert not second.wait(0.1)
            assert holds(etcd, KEY, HERE, first.lease)
        assert second.wait(TIMEOUT)
        assert holds(etcd, KEY, THERE, second.lease)


@pytest.mark.server
def test_registration_puts_a_taken_key_back_with_on_conflict_wait(
    etcd: Etcd, client: Client
) -> None:
    """Also after the first registration."""
    with registered(client, on_conflict="wait") as (first, events):
        with registered(client, THERE):
            wait_until(lambda: "taken_over" in events.kinds)
        assert first.wait(TIMEOUT)
        assert holds(etcd, KEY, HERE, first.lease)
        wait_until(lambda: events.of("registered").reason == "no other lease holds it any more")


@pytest.mark.server
@pytest.mark.long
def test_registrations_have_one_winner_when_they_start_together(etcd: Etcd, client: Client) -> None:
    """Under each policy, and nothing is left of the others."""
    for n in range(100):
        race(etcd, client, ("takeover", "wait", "fail")[n % 3])


def race(etcd: Etcd, client: Client, on_conflict: Any) -> None:
    """Start two at a time, and find which one has the key in the end."""
    with Client([etcd.endpoint]) as another:
        events = {each: EventLog() for each in (client, another)}
        both = {
            each: Registration(each, {KEY: HERE}, on_conflict=on_conflict, on_state=events[each])
            for each in events
        }
        for each in both.values():
            each.start(wait=False)
        wait_until(lambda: any(LOST & {*each.kinds} for each in events.values()))
        wait_until(lambda: sum(each.registered for each in both.values()) == 1)
        winner, loser = sorted(events, key=lambda each: bool(LOST & {*events[each].kinds}))
        assert holds(etcd, KEY, HERE, both[winner].lease)
        assert both[loser].close()
        assert holds(etcd, KEY, HERE, both[winner].lease)
        assert both[winner].close()
    assert etcd.entries("svc/") == []


LOST = {"taken_over", "waiting", "conflict"}
"""The events of the registration that does not get the key."""


def test_registration_starts_before_etcd_and_reports_one_error(
    own_etcd: Callable[..., Etcd],
) -> None:
    """etcd may start last."""
    etcd = own_etcd()
    etcd.stop()
    events = EventLog()
    with (
        Client([etcd.endpoint], dial_timeout=1) as client,
        closing(Registration(client, {KEY: HERE}, on_state=events)) as registration,
    ):
        registration.start(wait=False)
        wait_until(lambda: events.kinds)
        assert not registration.wait(1)
        assert events.kinds == ["error"]
        assert "connection refused" in events[0].reason
        etcd.start()
        assert registration.wait(TIMEOUT)
        assert holds(etcd, KEY, HERE, registration.lease)


@pytest.mark.server
def test_registration_raises_a_permanent_error_when_start_waits(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """And leaves nothing behind."""
    etcd = auth_etcd()
    name, _, password = READER.partition(":")
    with (
        Client([etcd.endpoint], user=name, password=password) as client,
        pytest.raises(PermissionDeniedError),
        Registration(client, {KEY: HERE}),
    ):
        pass
    with (
        Client([etcd.endpoint], user=name, password="wrong") as client,
        pytest.raises(AuthenticationError),
        Registration(client, {KEY: HERE}),
    ):
        pass
    assert etcd.leases() == []
    assert etcd.entries("svc/") == []


@pytest.mark.server
def test_registration_retries_a_refused_login_when_start_does_not_wait(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """Once a command runs, a wrong password does not stop it."""
    etcd = auth_etcd()
    events = EventLog()
    with (
        Client([etcd.endpoint], user="writer", password="wrong") as client,
        closing(Registration(client, {KEY: HERE}, on_state=events)) as registration,
    ):
        registration.start(wait=False)
        wait_until(lambda: events)
        assert isinstance(events[0].error, AuthenticationError)
        assert not registration.wait(0.5)
        assert events.kinds == ["error"]


def through_a_proxy(request: pytest.FixtureRequest) -> tuple[Etcd, Client]:
    """Return an etcd, and a client of its proxy."""
    etcd = request.getfixturevalue("own_etcd")()
    return etcd, Client([request.getfixturevalue("grpc_proxy")(etcd).endpoint])


def as_a_user(request: pytest.FixtureRequest) -> tuple[Etcd, Client]:
    """Return an etcd, and a client that may use one prefix, with tokens that last for a second."""
    etcd = request.getfixturevalue("auth_etcd")("--auth-token-ttl=1")
    name, _, password = WRITER.partition(":")
    return etcd, Client([etcd.endpoint], user=name, password=password)


def with_tls(request: pytest.FixtureRequest) -> tuple[Etcd, Client]:
    """Return an etcd, and a client that trusts its authority."""
    etcd = request.getfixturevalue("secure_etcd")()
    authority = request.getfixturevalue("certificates").ca
    return etcd, Client([f"https://{etcd.endpoint}"], cacert=str(authority))


@pytest.mark.server
@pytest.mark.parametrize("way", [through_a_proxy, as_a_user, with_tls])
def test_registration_works_on_every_connection_to_etcd(
    way: Callable[[pytest.FixtureRequest], tuple[Etcd, Client]], request: pytest.FixtureRequest
) -> None:
    """Deleted, overwritten, changed, revoked, and closed."""
    etcd, client = way(request)
    with client, registered(client, ttl=3) as (registration, events):
        time.sleep(3.5)  # a token is too old, a lease would be
        etcd.delete(KEY)
        wait_until(lambda: holds(etcd, KEY, HERE, registration.lease))
        etcd.put(KEY, "{}")
        wait_until(lambda: holds(etcd, KEY, HERE, registration.lease))
        etcd.ctl("put", "--ignore-lease", KEY, wire.encode(DRAINED).decode())
        wait_until(lambda: "changed" in events.kinds)
        etcd.revoke(registration.lease)
        wait_until(lambda: "regained" in events.kinds)
        wait_until(lambda: holds(etcd, KEY, DRAINED, registration.lease))
        assert registration.close()
    assert etcd.entries("svc/") == []
    assert etcd.leases() == []


def test_registration_closes_in_time_when_etcd_does_not_answer(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The remaining keys expire with the lease, which is no longer renewed."""
    etcd = own_etcd()
    with Client([etcd.endpoint], dial_timeout=60, command_timeout=60) as client:
        events = EventLog()
        registration = Registration(client, {KEY: HERE}, ttl=2, on_state=events)
        registration.start()
        etcd.freeze()
        start = time.monotonic()
        assert not registration.close()
        assert time.monotonic() - start < 2 + AT_ONCE
        wait_until(lambda: events.kinds[-1] == "error")
        etcd.thaw()
        wait_until(lambda: not etcd.entries("svc/"))


def test_registration_closes_in_time_during_a_call(own_etcd: Callable[..., Etcd]) -> None:
    """etcd freezes while a key is being put back; the call is not over when the time is."""
    etcd = own_etcd()
    with Client([etcd.endpoint], dial_timeout=60, command_timeout=60) as client:
        registration = Registration(client, {KEY: HERE}, ttl=10)
        registration.start()
        etcd.freeze()
        registration.set(KEY, THERE)
        time.sleep(0.3)
        start = time.monotonic()
        assert not registration.close()
        assert time.monotonic() - start < 2 + AT_ONCE
        assert registration.renewal is None  # nothing renews the lease


def test_registration_closes_at_once_when_etcd_was_never_reached(
    own_etcd: Callable[..., Etcd],
) -> None:
    """Nothing was registered."""
    etcd = own_etcd()
    etcd.stop()
    with Client([etcd.endpoint], dial_timeout=60) as client:
        registration = Registration(client, {KEY: HERE})
        registration.start(wait=False)
        time.sleep(0.2)
        start = time.monotonic()
        registration.close()
        assert time.monotonic() - start < 2 + AT_ONCE


def test_registrations_of_one_client_are_independent(etcd: Etcd, client: Client) -> None:
    """They share threads and streams, but no lease."""
    events = EventLog()
    with Registration(client, {"svc/e2": THERE}, ttl=4, on_state=events) as second:
        for _ in range(3):
            lose_a_lease(etcd, client)
        time.sleep(4)
        assert holds(etcd, "svc/e2", THERE, second.lease)
        assert etcd.leases() == [second.lease]
        assert events.kinds == ["granted", "registered"]


def lose_a_lease(etcd: Etcd, client: Client) -> None:
    """Register, lose the lease, get another one, and leave."""
    with registered(client, ttl=2) as (registration, events):
        etcd.revoke(registration.lease)
        wait_until(lambda: "regained" in events.kinds)


@pytest.mark.server
def test_registration_leaves_no_thread_in_the_process(etcd: Etcd, client: Client) -> None:
    """However often one is opened."""
    before = threading.active_count()
    for _ in range(10):
        with registered(client):
            pass
    wait_until(lambda: threading.active_count() <= before)


@pytest.mark.server
def test_registration_callback_may_raise_and_may_close(
    etcd: Etcd, client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    """The exception is printed on stderr, and the registration goes on."""

    def fail(event: RegistrationEvent) -> None:
        raise RuntimeError(event.kind)

    with Registration(client, {KEY: HERE}, on_state=fail) as registration:
        assert holds(etcd, KEY, HERE, registration.lease)
    assert "RuntimeError: registered" in capfd.readouterr().err

    closed = []

    def close_when_lost(event: RegistrationEvent) -> None:
        if event.kind == "lost":
            closed.append(registration.close())

    registration = Registration(client, {KEY: HERE}, on_state=close_when_lost)
    registration.start()
    etcd.revoke(registration.lease)
    wait_until(lambda: closed)
    assert closed == [True]
    assert etcd.leases() == []


@pytest.mark.server
def test_registration_refuses_invalid_arguments_at_once(client: Client) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidSettingError, match="TTL"):
        Registration(client, {KEY: HERE}, ttl=0)
    with pytest.raises(InvalidSettingError, match="on_conflict must be takeover or wait or fail"):
        Registration(client, {KEY: HERE}, on_conflict="fight")  # type: ignore[arg-type]
    with pytest.raises(InvalidSettingError, match="on_delete"):
        Registration(client, {KEY: HERE}, on_delete="cry")  # type: ignore[arg-type]
    with pytest.raises(InvalidTargetError):
        Registration(client, {"e1": HERE})
    with pytest.raises(InvalidEndpointError):
        Registration(client, {KEY: Endpoint("1", {"a": {1}})})  # type: ignore[dict-item]


@pytest.mark.server
def test_registration_is_opened_once_and_used_while_open(etcd: Etcd, client: Client) -> None:
    """Otherwise a `ClosedError` is raised."""
    registration = Registration(client, {KEY: HERE})
    with pytest.raises(ClosedError):
        registration.withdraw()
    assert registration.close()
    with registration, pytest.raises(ClosedError):
        registration.start()
    with pytest.raises(ClosedError):
        registration.set(KEY, THERE)
    with pytest.raises(ClosedError):
        registration.wait()
    assert registration.close()


def test_registration_moves_to_a_new_lease_when_the_old_one_is_reported_gone_by_mistake(
    etcd: Etcd,
) -> None:
    """A broken proxy says so. The keys are taken from the old lease, which is then revoked."""
    events: list[RegistrationEvent] = []
    with HostileProxy(etcd.endpoint) as proxy, Client([proxy.endpoint]) as client:
        registration = Registration(client, {KEY: HERE}, ttl=8, on_state=events.append)
        with registration:
            old = registration.lease
            proxy.changes["LeaseKeepAlive"] = _report_gone(old)
            wait_until(lambda: registration.registered and registration.lease != old)
            # It was renewed a moment ago, so it can't have expired.
            wait_until(lambda: etcd.leases() == [registration.lease], timeout=AT_ONCE)
            assert holds(etcd, KEY, HERE, registration.lease)
            assert "taken_over" not in [each.kind for each in events]
        assert etcd.leases() == []


def _report_gone(lease: int) -> Callable[[Any], None]:
    def change(response: Any) -> None:
        if lease == response.ID:
            response.TTL = 0

    return change


@pytest.mark.parametrize("name", ["_loop._requesting", "_status.health._lock"])
def test_registration_can_be_used_in_a_signal_handler_that_interrupts_it(
    client: Client, name: str
) -> None:
    """A handler runs in the thread that may hold the lock already."""
    done = threading.Event()
    with Registration(client, {KEY: HERE}) as registration:

        def interrupted() -> None:
            with operator.attrgetter(name)(registration):
                assert registration.registered
                registration.withdraw()
                registration.restore()
                done.set()

        threading.Thread(target=interrupted, daemon=True).start()
        assert done.wait(TIMEOUT)
        assert registration.wait(TIMEOUT)


def test_registration_reads_its_keys_again_when_no_change_is_reported(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken proxy may deliver nothing; a deleted key comes back all the same."""
    assert loop.RECHECK_INTERVAL == 30
    monkeypatch.setattr(loop, "RECHECK_INTERVAL", 0.5)
    with HostileProxy(etcd.endpoint) as proxy, Client([proxy.endpoint]) as client:
        proxy.changes["Watch"] = lambda answer: answer.ClearField("events")
        with registered(client) as (registration, events):
            etcd.delete(KEY)
            wait_until(lambda: "registered" in events.kinds[2:])
            assert holds(etcd, KEY, HERE, registration.lease)


def test_registration_pauses_after_a_refusal(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing permission is not granted within a second; it is asked for again all the same."""
    assert loop.REFUSED_RETRY_PAUSE == 30
    events = EventLog()
    with HostileProxy(etcd.endpoint) as proxy, Client([proxy.endpoint]) as client:
        proxy.excuses["Txn"] = "etcdserver: permission denied"
        monkeypatch.setattr(loop, "REFUSED_RETRY_PAUSE", 2.0)
        with closing(Registration(client, {KEY: HERE}, on_state=events)) as registration:
            registration.start(wait=False)
            wait_until(lambda: "error" in events.kinds)
            time.sleep(1.5)  # alone, there would be several attempts
            assert len(proxy.remaining["Txn"]) == 1
            proxy.excuses.clear()
            assert registration.wait(TIMEOUT)
        assert len(proxy.remaining["Txn"]) >= 2


def test_registration_ends_in_time_although_its_client_waits_long(
    own_etcd: Callable[..., Etcd],
) -> None:
    """Other registrations of the client, which close at the same time, need the thread."""
    etcd = own_etcd()
    with Client([etcd.endpoint], dial_timeout=60, command_timeout=60) as client:
        events = EventLog()
        registration = Registration(client, {KEY: HERE}, ttl=60, on_state=events)
        registration.start()
        # When its watch begins, the key is read once more. No such call may be waiting.
        etcd.delete(KEY)
        wait_until(lambda: events.kinds.count("registered") == 2)
        etcd.freeze()
        begin = time.monotonic()
        assert not registration.close(60)
        assert time.monotonic() - begin < AT_ONCE


def test_registration_closes_at_once_when_its_client_is_closed(etcd: Etcd) -> None:
    """It waits for its callbacks, of which the last one has been called then."""
    client = Client([etcd.endpoint])
    registration = Registration(client, {KEY: HERE}, ttl=5)
    registration.start()
    client.close()
    begin = time.monotonic()
    assert not registration.close(30)
    assert time.monotonic() - begin < AT_ONCE


class Hot(Client):
    """A client before each of whose transactions on a hot key another client changes that key."""

    def __init__(self, etcd: Etcd) -> None:
        super().__init__([etcd.endpoint])
        self._other, self.number = Client([etcd.endpoint]), 0

    def _txn(self, request: rpc.TxnRequest) -> rpc.TxnResponse:
        """Write, after the other client has written the hot key."""
        if any(compare.key == b"svc/hot" for compare in request.compare):
            self.number += 1
            transaction.update(
                self._other, [Update.add("svc/hot", Endpoint(f"1.1.1.1:{self.number}"), lease=0)]
            )
        return super()._txn(request)


@pytest.mark.parametrize("exist", [False, True])
def test_registration_writes_many_keys_in_few_transactions(etcd: Etcd, exist: bool) -> None:
    """Also if it has to read first that all of them exist."""
    names = [f"svc/{n}" for n in range(64)]
    with HostileProxy(etcd.endpoint) as proxy, Client([proxy.endpoint]) as client:
        if exist:
            transaction.update(client, [Update.add(name, THERE, lease=0) for name in names])
            proxy.remaining.clear()
        with Registration(client, dict.fromkeys(names, HERE)):
            assert len(proxy.remaining["Txn"]) == (4 if exist else 2)


def test_registration_registers_all_keys_but_the_one_that_changes_all_the_time(etcd: Etcd) -> None:
    """Transactions that fail get smaller, until the others are in transactions without it."""
    names = [*(f"svc/{n}" for n in range(40)), "svc/hot"]
    client = Hot(etcd)
    with client, client._other:
        registration = Registration(client, dict.fromkeys(names, HERE))
        with closing(registration):
            registration.start(wait=False)
            wait_until(lambda: sum(each.lease != 0 for each in etcd.entries("svc/")) == 40)
            assert not registration.registered
