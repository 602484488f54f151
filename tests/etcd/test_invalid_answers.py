"""Invalid answers, as from a broken proxy: an error with the reason, never a crash."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from harness import Etcd, Run, wait_until
from harness.hostile import HostileProxy

from etcdnaming import Client, Endpoint, EndpointManager, Registration
from etcdnaming.endpoints.completion_queries import keys_with_prefix
from etcdnaming.endpoints.watch import Watch
from etcdnaming.errors import EtcdError, OutcomeUnknownError
from etcdnaming.etcd import rpc
from etcdnaming.etcd.lease import LeaseKeeper, LeaseState
from etcdnaming.etcd.transactions import look_up
from etcdnaming.model import Update, WatchState

ONE = Endpoint("1.2.3.4:80")
HUGE = 2**62


@pytest.fixture
def proxy(etcd: Etcd) -> Iterator[HostileProxy]:
    """A proxy in front of ``etcd``."""
    with HostileProxy(etcd.endpoint) as proxy:
        yield proxy


@pytest.fixture
def asked(proxy: HostileProxy) -> Iterator[Client]:
    """A client that is connected to the proxy."""
    with Client([proxy.endpoint]) as client:
        yield client


def more_without_keys(answer: rpc.RangeResponse) -> None:
    """Announce more keys, but include none."""
    answer.more = True
    del answer.kvs[:]


def same_page_for_ever(answer: rpc.RangeResponse) -> None:
    """Return the first page for every request."""
    answer.more, answer.count = True, 10
    del answer.kvs[:]
    answer.kvs.add(key=b"svc/e1", mod_revision=2, version=1)


def endless_pages() -> Callable[[rpc.RangeResponse], None]:
    """Return a change that adds another page after every page."""
    number = 0

    def change(answer: rpc.RangeResponse) -> None:
        nonlocal number
        number += 1
        answer.more, answer.count = True, 10
        del answer.kvs[:]
        answer.kvs.add(key=b"svc/e%09d" % number, mod_revision=2, version=1)

    return change


def another_key(answer: rpc.RangeResponse) -> None:
    """Add a key of another service."""
    answer.count += 1
    answer.kvs.add(key=b"svc_other/e1")


def failed_without_results(answer: rpc.TxnResponse) -> None:
    """Report a failed transaction without the results of its reads."""
    answer.succeeded = False
    del answer.responses[:]


def no_header(answer: Any) -> None:
    """Remove the header, so that the revision is unknown."""
    answer.ClearField("header")


def last_revision(answer: Any) -> None:
    """Set the largest possible revision, after which a watch can't resume."""
    answer.header.revision = 2**63 - 1


def set_field(name: str, value: object) -> Callable[[Any], None]:
    """Return a change that sets one field of an answer."""
    return lambda answer: setattr(answer, name, value)


def list_endpoints(client: Client) -> object:
    """List all endpoints of svc."""
    return EndpointManager(client, "svc").list()


READS: list[tuple[str, Callable[[Any], None], Callable[[Client], object], str]] = [
    ("Range", more_without_keys, list_endpoints, "announces more keys"),
    ("Range", more_without_keys, lambda client: [*keys_with_prefix(client, "svc")], "more keys"),
    ("Range", same_page_for_ever, list_endpoints, "outside the range"),
    ("Range", endless_pages(), list_endpoints, "more than the 10 keys"),
    ("Range", another_key, list_endpoints, "outside the range"),
    ("Range", no_header, list_endpoints, "revision is 0"),
    ("Range", last_revision, list_endpoints, "revision is 9223372036854775807"),
    ("Range", set_field("count", -7), list_endpoints, "counts -7"),
    (
        "Txn",
        lambda answer: answer.ClearField("responses"),
        lambda client: look_up(client, [b"svc/e1"]),
        "not those of the operations",
    ),
    (
        "Txn",
        failed_without_results,
        lambda client: look_up(client, [b"svc/e1"]),
        "failed, without a condition",
    ),
]


@pytest.mark.parametrize(("method", "change", "call", "fault"), READS)
def test_read_fails_with_the_reason_when_the_answer_is_invalid(
    *,
    etcd: Etcd,
    proxy: HostileProxy,
    asked: Client,
    method: str,
    change: Callable[[Any], None],
    call: Callable[[Client], object],
    fault: str,
) -> None:
    """The read fails immediately, and the client works again as soon as the proxy does."""
    etcd.put("svc/e1", "{}")
    proxy.changes[method] = change

    with pytest.raises(EtcdError, match=f"invalid answer.*{fault}") as raised:
        call(asked)

    assert not isinstance(raised.value, OutcomeUnknownError)
    proxy.changes.clear()
    call(asked)


def add(client: Client) -> object:
    """Store one endpoint."""
    return EndpointManager(client, "svc").add_endpoint("svc/e1", ONE)


def update_two(client: Client) -> object:
    """Store two endpoints."""
    return EndpointManager(client, "svc").update([Update.add(f"svc/e{n}", ONE) for n in "12"])


def delete_all(client: Client) -> object:
    """Delete all endpoints."""
    return EndpointManager(client, "svc").delete_all(previous=True)


def grant(client: Client) -> object:
    """Grant a lease."""
    return client.lease_grant(60)


def no_results(answer: rpc.TxnResponse) -> None:
    """Report success without results."""
    del answer.responses[:]


def wrong_results(answer: rpc.TxnResponse) -> None:
    """Replace each result by that of a read."""
    for each in answer.responses:
        each.response_range.SetInParent()


def empty_results(answer: rpc.TxnResponse) -> None:
    """Remove the content of each result."""
    for each in answer.responses:
        each.Clear()


WRITES: list[tuple[str, Callable[[Any], None], Callable[[Client], object], str]] = [
    *(
        ("Txn", change, call, "not those of the operations")
        for change in (no_results, wrong_results, empty_results, failed_without_results)
        for call in (add, update_two)
    ),
    ("Txn", no_header, add, "revision is 0"),
    ("DeleteRange", set_field("deleted", -3), delete_all, "counts -3 deleted keys"),
    ("DeleteRange", set_field("deleted", 3), delete_all, "counts 3 deleted keys"),
    ("DeleteRange", no_header, delete_all, "revision is 0"),
    ("LeaseGrant", set_field("ID", 0), grant, "lease without an ID"),
    ("LeaseGrant", set_field("TTL", 0), grant, "TTL of 0s"),
    ("LeaseGrant", set_field("TTL", -5), grant, "TTL of -5s"),
    ("LeaseGrant", set_field("TTL", HUGE), grant, "TTL of 4611686018427387904s"),
]


@pytest.mark.parametrize(("method", "change", "call", "fault"), WRITES)
def test_write_has_an_unknown_outcome_when_the_answer_is_invalid(
    *,
    proxy: HostileProxy,
    asked: Client,
    method: str,
    change: Callable[[Any], None],
    call: Callable[[Client], object],
    fault: str,
) -> None:
    """etcd applied the write; only its answer is invalid."""
    proxy.changes[method] = change

    with pytest.raises(OutcomeUnknownError, match=f"invalid answer.*{fault}.*may have been"):
        call(asked)

    proxy.changes.clear()
    call(asked)


def test_lease_of_a_hundred_years_is_granted_when_requested(asked: Client) -> None:
    """etcd grants up to 285 years; a TTL is invalid only if it was not requested."""
    assert asked.lease_grant(100 * 365 * 86400).ttl == 100 * 365 * 86400


def test_client_leaves_a_member_after_an_invalid_answer(etcd: Etcd, proxy: HostileProxy) -> None:
    """With one broken proxy of two endpoints, only one call fails."""
    proxy.changes["Range"] = more_without_keys
    with Client([proxy.endpoint, etcd.endpoint]) as client:
        with pytest.raises(EtcdError, match="invalid answer"):
            list_endpoints(client)
        list_endpoints(client)


@pytest.mark.parametrize("change", [more_without_keys, no_header, last_revision])
def test_watch_continues_after_an_invalid_answer(
    etcd: Etcd, proxy: HostileProxy, asked: Client, change: Callable[[Any], None]
) -> None:
    """The watch reports the error, pauses and reads again, at its start and later."""
    etcd.put("svc/e1", "{}")
    proxy.changes["Range"] = change
    states: list[WatchState] = []
    with EndpointManager(asked, "svc").watch(on_state=states.append) as watch:
        while not states:
            assert watch.get(0.1) is None
        assert "invalid answer" in states[0].detail
        proxy.changes.clear()
        batch = watch.get(30)
        assert batch
        assert [each.key for each in batch.changes] == ["svc/e1"]


def test_watch_continues_after_an_event_with_the_largest_revision(
    etcd: Etcd, proxy: HostileProxy, asked: Client
) -> None:
    """A watch can't resume after that revision, so it reads the current keys."""

    def spoil(answer: rpc.WatchResponse) -> None:
        for event in answer.events:
            event.kv.mod_revision = 2**63 - 1

    proxy.changes["Watch"] = spoil
    states: list[WatchState] = []
    with EndpointManager(asked, "svc").watch(on_state=states.append) as watch:
        assert watch.get(30)
        while not states:
            watch.get(0.1)
        etcd.put("svc/e1", "{}")
        batch = watch.get(30)
        assert batch
        assert [each.key for each in batch.changes] == ["svc/e1"]
        assert batch.revision == etcd.revision()


def accept_again(answer: rpc.WatchResponse) -> None:
    """Mark each event as the first answer of its watch."""
    answer.created = bool(answer.created or answer.events)


def test_watch_continues_when_it_is_accepted_twice(
    etcd: Etcd, proxy: HostileProxy, asked: Client
) -> None:
    """Both a watch with its own call and a watch on a shared stream receive every later change."""
    proxy.changes["Watch"] = accept_again
    with Watch(asked, "svc") as single, Watch(asked, "svc", shared=True) as shared:
        for watch in (single, shared):
            assert watch.get(30)
        for number in range(3):
            etcd.put(f"svc/e{number}", '{"Addr":"1:1"}')
            for watch in (single, shared):
                batch = watch.get(15)  # sooner than the idle check would notice a lost event
                assert batch
                assert [each.key for each in batch.changes] == [f"svc/e{number}"]


def test_registered_key_is_restored_when_its_watch_is_accepted_twice(
    etcd: Etcd, proxy: HostileProxy, asked: Client
) -> None:
    """The key is restored every time it is deleted."""
    proxy.changes["Watch"] = accept_again
    with Registration(asked, {"svc/e1": ONE}, ttl=10):
        for _ in range(3):
            etcd.delete("svc/e1")
            wait_until(lambda: etcd.get("svc/"), 15)


class Reports(list[tuple[LeaseState, str]]):
    """The reported states of a lease."""

    def __call__(self, state: LeaseState, why: str) -> None:
        """Record a state."""
        self.append((state, why))


def test_lease_is_silent_when_keepalive_answers_have_an_absurd_ttl(
    proxy: HostileProxy, asked: Client
) -> None:
    """An invalid answer renews nothing, and the lease is alive again after the next valid one."""
    lease, reports = asked.lease_grant(2), Reports()
    proxy.changes["LeaseKeepAlive"] = set_field("TTL", HUGE)
    with closing(LeaseKeeper(asked)) as keeper:
        keeper.keep(lease, reports)
        wait_until(lambda: reports)
        assert reports[0][0] is LeaseState.SILENT
        assert "invalid answer" in reports[0][1]
        assert f"it gives a lease a TTL of {HUGE}s" in reports[0][1]
        assert {"etcdnaming-leases", "etcdnaming-keepalive"} <= {
            thread.name for thread in threading.enumerate()
        }
        proxy.changes.clear()
        # etcd itself has renewed the lease all the time.
        wait_until(lambda: len(reports) > 1)
        assert reports[1:] == [(LeaseState.ALIVE, "")]


def test_client_leaves_a_member_when_keepalive_answers_have_an_absurd_ttl(
    etcd: Etcd, proxy: HostileProxy
) -> None:
    """The other member renews the lease, and no state is reported."""
    proxy.changes["LeaseKeepAlive"] = set_field("TTL", HUGE)
    with Client([proxy.endpoint, etcd.endpoint]) as client, closing(LeaseKeeper(client)) as keeper:
        lease, reports = client.lease_grant(3), Reports()
        keeper.keep(lease, reports)
        time.sleep(2 * lease.ttl)
        assert reports == []
        assert etcd.ctl_json("lease", "timetolive", f"{lease.id:x}")["ttl"] >= 1


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("LeaseGrant", set_field("ID", 0)),
        ("LeaseGrant", set_field("TTL", 0)),
        ("LeaseGrant", set_field("TTL", HUGE)),
        ("LeaseKeepAlive", set_field("TTL", HUGE)),
        ("LeaseKeepAlive", set_field("TTL", -1)),
        ("LeaseKeepAlive", set_field("TTL", -(2**62))),
        ("Txn", no_results),
        ("Txn", failed_without_results),
    ],
)
def test_registration_retries_with_backoff_while_answers_are_invalid(
    *,
    etcd: Etcd,
    proxy: HostileProxy,
    asked: Client,
    capfd: pytest.CaptureFixture[str],
    method: str,
    change: Callable[[Any], None],
) -> None:
    """The registration makes few calls, and succeeds as soon as the answers are valid."""
    proxy.changes[method] = change
    registration = Registration(asked, {"svc/e1": ONE}, ttl=10)
    registration.start(wait=False, strict=False)
    try:
        time.sleep(3)  # without increasing pauses there would be dozens of calls
        assert len(proxy.remaining["LeaseGrant"]) <= 12
        assert len(proxy.remaining["Txn"]) <= 40
        proxy.changes.clear()
        wait_until(lambda: registration.registered and etcd.get("svc/"), 30)
        assert etcd.lease_of("svc/e1") == registration.lease
    finally:
        registration.close()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("method", "change", "args", "message"),
    [
        ("Range", more_without_keys, ["list", "svc"], "it announces more keys, but holds none"),
        (
            "Range",
            more_without_keys,
            ["del", "--all", "svc/", "--yes"],
            "it announces more keys, but holds none",
        ),
        (
            "Txn",
            no_results,
            ["add", "svc/e1", "--addr", "1:1"],
            "its results are not those of the operations: the change may have been applied",
        ),
        (
            "LeaseGrant",
            set_field("ID", 0),
            ["add", "svc/e1", "--addr", "1:1", "--ttl", "9"],
            "it grants a lease without an ID: the change may have been applied",
        ),
    ],
)
@pytest.mark.parametrize("options", [[], ["-w", "json"]])
def test_command_reports_an_invalid_answer_in_one_line(
    *,
    run: Run,
    proxy: HostileProxy,
    method: str,
    change: Callable[[Any], None],
    args: list[str],
    message: str,
    options: list[str],
) -> None:
    """The exit code is 1 and stdout is empty."""
    proxy.changes[method] = change

    result = run("--endpoints", proxy.endpoint, *options, *args)

    assert (result.status, result.out) == (1, "")
    said = f"Error: {proxy.endpoint}: invalid answer, check any proxy in front of etcd: {message}\n"
    assert result.err == said
