"""Endpoints held in etcd: registered, healed, changed, handed over, taken away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
from harness import AT_ONCE, READER, TIMEOUT, WRITER, Etcd, wait_until
from harness.registrations import Told, holds
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

KEY = "svc/e1"
HERE, THERE = Endpoint("1.2.3.4:80"), Endpoint("5.6.7.8:80", {"weight": 1})
DRAINED = Endpoint("1.2.3.4:80", {"weight": 0})


@contextmanager
def registered(
    client: Client, endpoint: Endpoint = HERE, **options: Any
) -> Iterator[tuple[Registration, Told]]:
    """Yield a registration of *endpoint* at `KEY`, and what it tells."""
    told = Told()
    options = {"ttl": 10, **options}
    with Registration(client, {KEY: endpoint}, on_state=told, **options) as registration:
        yield registration, told


@pytest.mark.server
def test_endpoints_are_there_while_the_block_runs(etcd: Etcd, client: Client) -> None:
    """All on one lease, and then neither they nor it."""
    endpoints = {f"svc/e{n}": Endpoint(f"10.0.0.{n}:80") for n in range(3)}
    told = Told()
    with Registration(client, endpoints, ttl=5, on_state=told) as registration:
        assert registration.registered
        assert registration.endpoints == endpoints
        assert etcd.leases() == [registration.lease]
        for key, endpoint in endpoints.items():
            assert holds(etcd, key, endpoint, registration.lease)
    assert etcd.entries("svc/") == []
    assert etcd.leases() == []
    assert told.kinds == ["granted", *["registered"] * 3, *["left"] * 3, "revoked"]
    assert (told[0].lease, told[0].ttl) == (told[-1].lease, 5)
    assert not registration.registered


def test_address_that_no_client_can_dial_is_registered_and_logged(
    etcd: Etcd, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it is there at the beginning or comes later."""
    with registered(client, Endpoint(":")) as (registration, _):
        registration.set("svc/e2", Endpoint("1.2.3.4:0"))
        registration.set("svc/e3", HERE)
        wait_until(lambda: len(etcd.entries("svc/")) == 3)

    assert caplog.messages == [
        f"{KEY}: gRPC clients can't dial it: the address ':' has neither host nor port",
        "svc/e2: gRPC clients can't dial it: the address '1.2.3.4:0' needs a port from 1 to 65535",
    ]


class Succeeding(Client):
    """A client of somebody whose predecessor's *lease* ends while he takes over; it counts."""

    def __init__(self, etcd: Etcd, lease: int) -> None:
        super().__init__([etcd.endpoint])
        self._etcd, self._lease, self.transactions = etcd, lease, 0

    def txn(self, request: rpc.TxnRequest) -> rpc.TxnResponse:
        """Write, but later than that."""
        if self.transactions == 30:  # when he has found all of them there
            self._etcd.revoke(self._lease)
        self.transactions += 1
        return super().txn(request)


def test_all_that_change_at_once_are_written_again_many_at_once(etcd: Etcd) -> None:
    """A large registration begins again while etcd still deletes what the last one had."""
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
def test_more_endpoints_than_a_transaction_takes_share_a_lease(etcd: Etcd, client: Client) -> None:
    """They are written in several."""
    endpoints = {f"svc/e{n:04}": Endpoint(f"10.0.0.1:{n}") for n in range(1000)}
    with Registration(client, endpoints) as registration:
        assert {entry.lease for entry in etcd.entries("svc/")} == {registration.lease}
        assert len(etcd.entries("svc/")) == 1000
        for key in ("svc/e0000", "svc/e0999"):
            etcd.delete(key)
        wait_until(lambda: len(etcd.entries("svc/")) == 1000)
    assert etcd.entries("svc/") == []


@pytest.mark.server
def test_a_deleted_key_is_put_back_on_the_same_lease(etcd: Etcd, client: Client) -> None:
    """As often as it takes."""
    with registered(client) as (registration, told):
        for _ in range(20):
            etcd.delete(KEY)
            wait_until(lambda: holds(etcd, KEY, HERE, registration.lease))
        assert etcd.leases() == [registration.lease]
        assert told.of("registered").reason == "it was deleted"


@pytest.mark.server
def test_a_key_that_was_put_without_a_lease_is_taken_back(etcd: Etcd, client: Client) -> None:
    """It would outlive us."""
    with registered(client) as (registration, told):
        etcd.put(KEY, wire.encode(THERE).decode())
        wait_until(lambda: holds(etcd, KEY, HERE, registration.lease))
        assert told.of("registered").reason == "it was put without a lease"


@pytest.mark.server
def test_what_an_operator_sets_on_our_lease_sticks(etcd: Etcd, client: Client) -> None:
    """That is how one instance is drained: also when the lease is another one by and by."""
    with registered(client) as (registration, told):
        transaction.update(client, [Update.add(KEY, DRAINED)])
        wait_until(lambda: "changed" in told.kinds)
        assert told.of("changed").endpoint == DRAINED
        assert registration.endpoints == {KEY: DRAINED}
        etcd.delete(KEY)
        wait_until(lambda: holds(etcd, KEY, DRAINED, registration.lease))
        etcd.revoke(registration.lease)
        wait_until(lambda: "regained" in told.kinds)
        assert holds(etcd, KEY, DRAINED, registration.lease)
    assert etcd.entries("svc/") == []


@pytest.mark.server
def test_a_value_that_can_not_be_read_is_meant_too(etcd: Etcd, client: Client) -> None:
    """Who wrote it without taking it off its lease must know."""
    with registered(client) as (registration, told):
        etcd.ctl("put", "--ignore-lease", "--", KEY, "no JSON")
        wait_until(lambda: "changed" in told.kinds)
        assert told.of("changed").endpoint is None
        assert registration.endpoints == {KEY: None}
        registration.set(KEY, HERE)
        wait_until(lambda: holds(etcd, KEY, HERE, registration.lease))


@pytest.mark.server
def test_a_revoked_lease_is_replaced(etcd: Etcd, client: Client) -> None:
    """Told once; and only the new one is left."""
    lost, regained = Told(), Told()
    with registered(client, on_lost=lost, on_regained=regained) as (registration, told):
        first = registration.lease
        etcd.revoke(first)
        wait_until(lambda: regained)
        assert lost.kinds == ["lost"]
        assert told.kinds[2:] == ["lost", "granted", "registered", "regained"]
        assert regained[0].lease == registration.lease != first
        assert regained[0].seconds < AT_ONCE
        assert holds(etcd, KEY, HERE, registration.lease)
        assert etcd.leases() == [registration.lease]


@pytest.mark.server
def test_with_on_delete_leave_a_deleted_key_stays_away(etcd: Etcd, client: Client) -> None:
    """And is not put back with a new lease either; the others are."""
    told = Told()
    endpoints = {KEY: HERE, "svc/e2": THERE}
    with Registration(client, endpoints, on_delete="leave", on_state=told) as registration:
        etcd.delete(KEY)
        wait_until(lambda: "deleted" in told.kinds)
        assert registration.wait(0)
        etcd.revoke(registration.lease)
        wait_until(lambda: "regained" in told.kinds)
        assert [entry.key for entry in etcd.entries("svc/")] == [b"svc/e2"]
        assert not registration.registered


@pytest.mark.server
def test_with_on_delete_leave_a_lost_lease_is_no_deletion(etcd: Etcd, client: Client) -> None:
    """Its keys went with it."""
    with registered(client, on_delete="leave") as (registration, told):
        etcd.revoke(registration.lease)
        wait_until(lambda: "regained" in told.kinds)
        assert holds(etcd, KEY, HERE, registration.lease)
        assert "deleted" not in told.kinds


@pytest.mark.server
def test_endpoints_can_be_added_changed_and_removed(etcd: Etcd, client: Client) -> None:
    """On the same lease; what is set last counts."""
    with registered(client) as (registration, told):
        registration.set("svc/e2", HERE)
        registration.set("svc/e2", THERE)
        registration.set(KEY, DRAINED)
        assert registration.wait(TIMEOUT)
        assert holds(etcd, "svc/e2", THERE, registration.lease)
        assert holds(etcd, KEY, DRAINED, registration.lease)
        assert registration.endpoints == {KEY: DRAINED, "svc/e2": THERE}
        registration.remove(KEY)
        wait_until(lambda: "withdrawn" in told.kinds)
        assert [entry.key for entry in etcd.entries("svc/")] == [b"svc/e2"]
        assert registration.endpoints == {"svc/e2": THERE}
        registration.set(KEY, HERE)
        assert registration.wait(TIMEOUT)
        assert registration.registered
    assert etcd.entries("svc/") == []


def test_endpoints_can_be_withdrawn_and_restored(etcd: Etcd, client: Client) -> None:
    """For as long as they are not healthy; the lease stays."""
    with registered(client, ttl=4) as (registration, told):
        lease = registration.lease
        for _ in range(3):
            registration.withdraw()
            wait_until(lambda: not etcd.entries("svc/"))
            assert not registration.registered
            assert registration.wait(TIMEOUT)
            registration.restore()
            wait_until(lambda: holds(etcd, KEY, HERE, lease))
        registration.withdraw()
        time.sleep(5)  # longer than the TTL
        assert etcd.entries("svc/") == []
        assert etcd.leases() == [lease]
        assert told.kinds.count("withdrawn") == 4
    assert etcd.leases() == []


@pytest.mark.server
def test_wait_returns_when_etcd_holds_what_was_asked_for(etcd: Etcd, client: Client) -> None:
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


def test_wait_is_not_over_while_a_removed_endpoint_may_be_in_etcd(etcd: Etcd) -> None:
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


def test_registrations_that_close_at_once_all_leave(etcd: Etcd) -> None:
    """Two hundred of them, from a thread each, when etcd is not near."""
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

    def txn(self, request: rpc.TxnRequest) -> rpc.TxnResponse:
        """Write, perhaps later."""
        if any(each.request_put.value == wire.encode(THERE) for each in request.success):
            self.stuck.set()
            self.free.wait(30)
        return super().txn(request)


def test_closing_does_not_wait_for_another_registration(etcd: Etcd) -> None:
    """What that asks of etcd is not answered."""
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
def test_a_closed_client_ends_its_registrations(etcd: Etcd) -> None:
    """They say so, and what is left of them goes with the lease."""
    before = threading.active_count()
    told = Told()
    client = Client([etcd.endpoint])
    registration = Registration(client, {KEY: HERE}, ttl=2, on_state=told)
    registration.start()
    client.close()
    wait_until(lambda: not registration.registered)
    with pytest.raises(ClientClosedError):
        registration.wait(10)
    assert told.kinds == ["granted", "registered", "lost"]
    assert not registration.close()
    with pytest.raises(ClientClosedError):
        Registration(client, {KEY: HERE}).start()
    wait_until(lambda: threading.active_count() <= before)
    wait_until(lambda: not etcd.entries("svc/"))


@pytest.mark.server
def test_what_somebody_took_meanwhile_is_not_restored(etcd: Etcd, client: Client) -> None:
    """Only the first registration may take over."""
    with registered(client) as (registration, told):
        registration.withdraw()
        wait_until(lambda: not etcd.entries("svc/"))
        lease = etcd.grant(60)
        etcd.put(KEY, "{}", lease)
        registration.restore()
        wait_until(lambda: "taken_over" in told.kinds)
        assert told.of("taken_over").holder == lease
    assert etcd.lease_of(KEY) == lease


@pytest.mark.server
def test_the_second_takes_over_and_the_first_lets_it(etcd: Etcd, client: Client) -> None:
    """He heals nothing, deletes nothing, and does not come back."""
    with registered(client) as (first, told):
        with registered(client, THERE) as (second, told_by_second):
            assert told_by_second.of("registered").holder == first.lease
            wait_until(lambda: "taken_over" in told.kinds)
            assert told.of("taken_over").holder == second.lease
            assert first.wait(0)
            assert not first.registered
            etcd.revoke(first.lease)
            wait_until(lambda: "regained" in told.kinds)
            first.close()
            assert holds(etcd, KEY, THERE, second.lease)
            assert etcd.leases() == [second.lease]
        assert etcd.entries("svc/") == []


@pytest.mark.server
def test_after_the_second_has_gone_the_first_does_not_come_back(etcd: Etcd, client: Client) -> None:
    """It was taken from him for good."""
    with registered(client) as (_, told):
        with registered(client, THERE):
            wait_until(lambda: "taken_over" in told.kinds)
        time.sleep(0.5)
        assert etcd.entries("svc/") == []


@pytest.mark.server
def test_with_fail_a_key_that_is_held_is_left_alone(etcd: Etcd, client: Client) -> None:
    """Nothing of the second one stays, the endpoints that were free included."""
    with registered(client) as (first, _):
        told = Told()
        second = Registration(
            client, {"svc/e0": THERE, KEY: THERE}, on_conflict="fail", on_state=told
        )
        with pytest.raises(KeyHeldError, match=f"{KEY} is held by lease {first.lease:016x}"):
            second.start()
        assert told.of("conflict").holder == first.lease
        assert etcd.leases() == [first.lease]
        assert [entry.key for entry in etcd.entries("svc/")] == [KEY.encode()]
        assert holds(etcd, KEY, HERE, first.lease)
        with pytest.raises(KeyHeldError):
            second.wait()


@pytest.mark.server
def test_with_fail_a_key_that_nobody_holds_is_taken(etcd: Etcd, client: Client) -> None:
    """One without a lease is nobody's."""
    etcd.put(KEY, "{}")
    with registered(client, on_conflict="fail") as (registration, _):
        assert holds(etcd, KEY, HERE, registration.lease)


@pytest.mark.server
def test_with_wait_the_second_follows_the_first(etcd: Etcd, client: Client) -> None:
    """As soon as he has gone."""
    told = Told()
    with closing(Registration(client, {KEY: THERE}, on_conflict="wait", on_state=told)) as second:
        with registered(client) as (first, _):
            second.start(wait=False)
            wait_until(lambda: "waiting" in told.kinds)
            assert told.of("waiting").holder == first.lease
            assert not second.wait(0.1)
            assert holds(etcd, KEY, HERE, first.lease)
        assert second.wait(TIMEOUT)
        assert holds(etcd, KEY, THERE, second.lease)


@pytest.mark.server
def test_with_wait_what_was_taken_over_is_put_back_when_it_is_free(
    etcd: Etcd, client: Client
) -> None:
    """Patience is not over with the first registration."""
    with registered(client, on_conflict="wait") as (first, told):
        with registered(client, THERE):
            wait_until(lambda: "taken_over" in told.kinds)
        assert first.wait(TIMEOUT)
        assert holds(etcd, KEY, HERE, first.lease)


@pytest.mark.server
@pytest.mark.long
def test_a_hundred_simultaneous_starts_have_one_winner_each(etcd: Etcd, client: Client) -> None:
    """Under each policy, and nothing is left of the others."""
    for n in range(100):
        race(etcd, client, ("takeover", "wait", "fail")[n % 3])


def race(etcd: Etcd, client: Client, on_conflict: Any) -> None:
    """Start two at a time, and see who has the key in the end."""
    with Client([etcd.endpoint]) as another:
        told = {each: Told() for each in (client, another)}
        both = {
            each: Registration(each, {KEY: HERE}, on_conflict=on_conflict, on_state=told[each])
            for each in told
        }
        for each in both.values():
            each.start(wait=False)
        wait_until(lambda: any(LOST & {*each.kinds} for each in told.values()))
        wait_until(lambda: sum(each.registered for each in both.values()) == 1)
        winner, loser = sorted(told, key=lambda each: bool(LOST & {*told[each].kinds}))
        assert holds(etcd, KEY, HERE, both[winner].lease)
        assert both[loser].close()
        assert holds(etcd, KEY, HERE, both[winner].lease)
        assert both[winner].close()
    assert etcd.entries("svc/") == []


LOST = {"taken_over", "waiting", "conflict"}
"""What the one who does not get the key is told."""


def test_it_starts_before_etcd_and_tells_once_why_it_waits(own_etcd: Callable[..., Etcd]) -> None:
    """Etcd may come up last."""
    etcd = own_etcd()
    etcd.stop()
    told = Told()
    with (
        Client([etcd.endpoint], dial_timeout=0.3) as client,
        closing(Registration(client, {KEY: HERE}, on_state=told)) as registration,
    ):
        registration.start(wait=False)
        assert not registration.wait(2)
        assert told.kinds == ["error"]
        assert "connection refused" in told[0].reason
        etcd.start()
        assert registration.wait(TIMEOUT)
        assert holds(etcd, KEY, HERE, registration.lease)


@pytest.mark.server
def test_what_does_not_heal_by_waiting_is_raised_by_a_start_that_waits(
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
def test_a_start_that_does_not_wait_goes_on_when_it_is_refused(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """Once a command runs, a password that is wrong does not stop it."""
    etcd = auth_etcd()
    told = Told()
    with (
        Client([etcd.endpoint], user="writer", password="wrong") as client,
        closing(Registration(client, {KEY: HERE}, on_state=told)) as registration,
    ):
        registration.start(wait=False)
        wait_until(lambda: told)
        assert isinstance(told[0].error, AuthenticationError)
        assert not registration.wait(0.5)
        assert told.kinds == ["error"]


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
def test_it_is_the_same_on_every_way_to_etcd(
    way: Callable[[pytest.FixtureRequest], tuple[Etcd, Client]], request: pytest.FixtureRequest
) -> None:
    """Deleted, overwritten, changed, revoked, and left."""
    etcd, client = way(request)
    with client, registered(client, ttl=3) as (registration, told):
        time.sleep(3.5)  # a token is too old, a lease would be
        etcd.delete(KEY)
        wait_until(lambda: holds(etcd, KEY, HERE, registration.lease))
        etcd.put(KEY, "{}")
        wait_until(lambda: holds(etcd, KEY, HERE, registration.lease))
        etcd.ctl("put", "--ignore-lease", KEY, wire.encode(DRAINED).decode())
        wait_until(lambda: "changed" in told.kinds)
        etcd.revoke(registration.lease)
        wait_until(lambda: "regained" in told.kinds)
        wait_until(lambda: holds(etcd, KEY, DRAINED, registration.lease))
        assert registration.close()
    assert etcd.entries("svc/") == []
    assert etcd.leases() == []


def test_closing_is_bounded_when_etcd_does_not_answer(own_etcd: Callable[..., Etcd]) -> None:
    """What is left goes with the lease, which is not kept alive."""
    etcd = own_etcd()
    with Client([etcd.endpoint], dial_timeout=60, command_timeout=60) as client:
        registration = Registration(client, {KEY: HERE}, ttl=2)
        registration.start()
        etcd.freeze()
        start = time.monotonic()
        assert not registration.close()
        assert time.monotonic() - start < 2 + AT_ONCE
        etcd.thaw()
        wait_until(lambda: not etcd.entries("svc/"))


def test_closing_in_the_middle_of_a_call_is_bounded_too(own_etcd: Callable[..., Etcd]) -> None:
    """Etcd freezes while a key is being put back."""
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


def test_closing_before_etcd_was_ever_there_is_quick(own_etcd: Callable[..., Etcd]) -> None:
    """There is nothing to leave."""
    etcd = own_etcd()
    etcd.stop()
    with Client([etcd.endpoint], dial_timeout=60) as client:
        registration = Registration(client, {KEY: HERE})
        registration.start(wait=False)
        time.sleep(0.2)
        start = time.monotonic()
        registration.close()
        assert time.monotonic() - start < 2 + AT_ONCE


def test_registrations_of_one_client_do_not_disturb_each_other(etcd: Etcd, client: Client) -> None:
    """They share threads and streams, but neither lease nor fate."""
    told = Told()
    with Registration(client, {"svc/e2": THERE}, ttl=4, on_state=told) as second:
        for _ in range(3):
            lose_a_lease(etcd, client)
        time.sleep(4)
        assert holds(etcd, "svc/e2", THERE, second.lease)
        assert etcd.leases() == [second.lease]
        assert told.kinds == ["granted", "registered"]


def lose_a_lease(etcd: Etcd, client: Client) -> None:
    """Register, lose the lease, get another one, and leave."""
    with registered(client, ttl=2) as (registration, told):
        etcd.revoke(registration.lease)
        wait_until(lambda: "regained" in told.kinds)


@pytest.mark.server
def test_nothing_of_it_is_left_in_the_process(etcd: Etcd, client: Client) -> None:
    """No thread, however often."""
    before = threading.active_count()
    for _ in range(10):
        with registered(client):
            pass
    wait_until(lambda: threading.active_count() <= before)


@pytest.mark.server
def test_a_callback_may_fail_and_may_close(
    etcd: Etcd, client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    """The first is said on stderr, and nothing ends with it."""

    def fail(event: RegistrationEvent) -> None:
        raise RuntimeError(event.kind)

    with Registration(client, {KEY: HERE}, on_state=fail) as registration:
        assert holds(etcd, KEY, HERE, registration.lease)
    assert "RuntimeError: registered" in capfd.readouterr().err

    closed = []
    registration = Registration(
        client, {KEY: HERE}, on_lost=lambda _: closed.append(registration.close())
    )
    registration.start()
    etcd.revoke(registration.lease)
    wait_until(lambda: closed)
    assert closed == [True]
    assert etcd.leases() == []


@pytest.mark.server
def test_what_can_not_be_registered_is_said_at_once(client: Client) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidSettingError, match="TTL"):
        Registration(client, {KEY: HERE}, ttl=0)
    with pytest.raises(InvalidSettingError, match="on_conflict is takeover or wait or fail"):
        Registration(client, {KEY: HERE}, on_conflict="fight")  # type: ignore[arg-type]
    with pytest.raises(InvalidSettingError, match="on_delete"):
        Registration(client, {KEY: HERE}, on_delete="cry")  # type: ignore[arg-type]
    with pytest.raises(InvalidTargetError):
        Registration(client, {"e1": HERE})
    with pytest.raises(InvalidEndpointError):
        Registration(client, {KEY: Endpoint("1", {"a": {1}})})  # type: ignore[dict-item]


@pytest.mark.server
def test_it_is_opened_once_and_used_while_it_is_open(etcd: Etcd, client: Client) -> None:
    """Else a `ClosedError` says so."""
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
