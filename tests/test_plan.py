"""Plans for a target, and how `EndpointManager.apply` makes them by compare-and-swap."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from harness import Etcd
from harness.nested import nested
from hypothesis import given
from hypothesis import strategies as st

from etcdnaming import Client, Difference, Endpoint, EndpointManager, Plan, Update
from etcdnaming.endpoints.apply import MAX_ATTEMPTS, apply, plan
from etcdnaming.errors import (
    ConflictError,
    InvalidKeyError,
    PermissionDeniedError,
    TooManyOperationsError,
)
from etcdnaming.model import JSON, Header, InvalidValue, Listing, StoredEndpoint

KEY = "svc/e1"


def add(key: str, addr: str = "1:1", metadata: JSON = None, lease: int | None = None) -> Update:
    """Return an update that adds an endpoint."""
    return Update.add(key, Endpoint(addr, metadata), lease=lease)


def stored(key: str, addr: str = "1:1", metadata: JSON = None, lease: int = 0) -> StoredEndpoint:
    """Return an endpoint that etcd holds."""
    return StoredEndpoint(key, Endpoint(addr, metadata), 1, 1, 1, lease)


def planned(
    current: Sequence[StoredEndpoint | InvalidValue], *wanted: Update, **options: bool
) -> Plan:
    """Return the plan for a target that holds *current*."""
    endpoints = [each for each in current if isinstance(each, StoredEndpoint)]
    invalid = [each for each in current if isinstance(each, InvalidValue)]
    header = Header(1, 1, 1, 1)
    return plan(
        Listing(header, "svc", endpoints, invalid, len(current), more=False), wanted, **options
    )


def updates(found: Plan) -> list[Update]:
    """Return the updates to make."""
    return [each.update for each in found.differences]


BAD = InvalidValue("svc/bad", "it is not JSON", b"x", 1, 0)


@pytest.mark.parametrize(
    ("before", "update"),
    [
        (stored(KEY), add(KEY)),
        (stored(KEY, metadata={"a": [1.5, None]}), add(KEY, metadata={"a": [1.5, None]})),
        (stored(KEY, metadata=[1]), add(KEY, metadata=(1.0,))),
        (stored(KEY, metadata=nested(9999)), add(KEY, metadata=nested(9999))),
        (stored(KEY, lease=7), add(KEY)),
        (stored(KEY, lease=7), add(KEY, lease=7)),
        (None, Update.delete(KEY)),
    ],
)
def test_plan_leaves_what_is_as_wanted(before: StoredEndpoint | None, update: Update) -> None:
    """An endpoint stays on its lease."""
    found = planned([before] if before else [], update)

    assert updates(found) == []
    assert found.unchanged == [Difference(update, before)]


@pytest.mark.parametrize(
    ("before", "update"),
    [
        (None, add(KEY)),
        (stored(KEY), add(KEY, "2:2")),
        (stored(KEY), add(KEY, metadata="x")),
        (stored(KEY, metadata=1), add(KEY, metadata=True)),
        (stored(KEY, metadata=nested(9999)), add(KEY, metadata=nested(9998))),
        (stored(KEY), add(KEY, lease=7)),
        (stored(KEY, lease=7), add(KEY, lease=0)),
        (stored(KEY), Update.delete(KEY)),
        (stored(KEY, lease=7), Update.delete(KEY)),
        (BAD._replace(key=KEY), add(KEY)),
    ],
)
def test_plan_updates_what_differs(
    before: StoredEndpoint | InvalidValue | None, update: Update
) -> None:
    """Values that are equal in Python may differ in JSON."""
    found = planned([before] if before else [], update)

    assert found.differences == [Difference(update, before)]
    assert found.unchanged == []


def test_plan_takes_the_last_update_of_a_key() -> None:
    """A file describes a state, so an earlier delete detaches no lease."""
    found = planned([stored(KEY, lease=7)], Update.delete(KEY), add(KEY, "2:2"))

    assert updates(found) == [add(KEY, "2:2")]


def test_plan_deletes_what_is_not_wanted_when_it_prunes() -> None:
    """Endpoints on leases and values that can't be read are left."""
    current: list[StoredEndpoint | InvalidValue] = [
        *(stored("svc/a"), stored("svc/b", lease=7), stored("svc/c")),
        BAD,
    ]

    assert updates(planned(current, add("svc/c"))) == []
    found = planned(current, add("svc/c"), prune=True)
    assert updates(found) == [Update.delete("svc/a")]
    assert found.kept == [stored("svc/b", lease=7), BAD]
    found = planned(current, add("svc/c"), prune=True, prune_leased=True)
    assert updates(found) == [Update.delete(each) for each in ("svc/a", "svc/b", "svc/bad")]
    assert found.kept == []


names = st.sampled_from([f"svc/{each}" for each in "abcdef\udcff"])
endpoints = st.builds(Endpoint, st.sampled_from(["1:1", "2:2"]), st.sampled_from([None, 1, True]))


@given(
    st.dictionaries(names, st.tuples(endpoints, st.sampled_from([0, 7]))),
    st.lists(st.builds(Update.add, names, endpoints) | st.builds(Update.delete, names)),
    st.booleans(),
    st.booleans(),
)
def test_plan_is_empty_once_it_was_made(
    before: dict[str, tuple[Endpoint, int]], wanted: list[Update], prune: bool, leased: bool
) -> None:
    """The result is what was wanted and, when pruning, nothing else but what is kept."""
    current = [stored(key, *endpoint, lease=lease) for key, (endpoint, lease) in before.items()]
    found = planned(current, *wanted, prune=prune, prune_leased=leased)

    after = {each.key: each for each in current}
    for update, was in found.differences:
        if update.endpoint is None:
            del after[update.key]
        else:
            after[update.key] = stored(update.key, *update.endpoint, lease=was.lease if was else 0)

    again = planned([*after.values()], *wanted, prune=prune, prune_leased=leased)
    assert again.differences == []
    assert again.kept == found.kept
    last = {each.key: each.endpoint for each in wanted}
    assert {key: each for key, each in last.items() if each} == {
        key: each.endpoint for key, each in after.items() if key in last
    }
    if prune:
        assert after.keys() - last.keys() == {each.key for each in found.kept}


@pytest.fixture
def manager(client: Client) -> EndpointManager:
    """The endpoints of ``svc``."""
    return EndpointManager(client, "svc")


@pytest.mark.server
def test_apply_writes_only_what_differs_in_one_transaction(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """A changed endpoint stays on its lease."""
    lease = etcd.grant(60)
    manager.update([add("svc/a"), add("svc/b", lease=lease), add("svc/c")])
    before = etcd.revision()

    made = manager.apply([add("svc/a"), add("svc/b", "2:2"), add("svc/d")], prune=True)

    assert updates(made) == [add("svc/b", "2:2"), Update.delete("svc/c"), add("svc/d")]
    assert made.header.revision == etcd.revision() == before + 1
    assert {each.key: each.lease for each in manager.list().endpoints} == {
        "svc/a": 0,
        "svc/b": lease,
        "svc/d": 0,
    }
    again = manager.apply([add("svc/a"), add("svc/b", "2:2"), add("svc/d")], prune=True)
    assert (updates(again), etcd.revision()) == ([], before + 1)


def test_apply_refuses_a_key_outside_its_target(etcd: Etcd, manager: EndpointManager) -> None:
    """Nothing is written."""
    for work in (manager.plan, manager.apply):
        with pytest.raises(InvalidKeyError):
            work([add("svc/a"), add("svc2/a")])
    assert etcd.get("") == {}


def test_apply_refuses_more_updates_than_a_transaction_takes(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """With a batch size it takes several."""
    wanted = [add(f"svc/{each:03}") for each in range(300)]
    with pytest.raises(TooManyOperationsError):
        manager.apply(wanted)
    assert etcd.get("") == {}
    before = etcd.revision()
    seen: list[tuple[int, int]] = []

    made = manager.apply(wanted, batch_size=128, on_batch=lambda *done: seen.append(done))

    assert updates(made) == wanted
    assert etcd.revision() == before + 3
    assert seen == [(128, 300), (256, 300), (300, 300)]
    # 299 unchanged keys are more than etcd compares in one transaction; they are not needed.
    assert updates(manager.apply([*wanted[1:], Update.delete("svc/000")])) == [
        Update.delete("svc/000")
    ]


@pytest.mark.parametrize("written", ["svc/a", "svc/b", "svc/c"])
def test_apply_reads_again_when_another_client_was_faster(
    etcd: Etcd, client: Client, manager: EndpointManager, written: str
) -> None:
    """That is so for a key to change, one to add, and one that was found as wanted."""
    manager.update([add("svc/a"), add("svc/c")])
    wanted = [add("svc/a", "2:2"), add("svc/b"), add("svc/c")]
    plans = 0

    def make_plan() -> Plan:
        nonlocal plans
        plans += 1
        found = manager.plan(wanted)
        if plans == 1:
            etcd.put(written, '{"Addr":"9:9"}')
        return found

    apply(client, make_plan, max_txn_ops=128, batch_size=None, on_batch=lambda *_: None)

    assert plans == 2
    assert manager.list().by_key() == {each.key: each.endpoint for each in wanted}


def test_apply_gives_up_when_other_clients_are_always_faster(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """The error names the key, and the other client's value stays."""
    plans = 0

    def make_plan() -> Plan:
        nonlocal plans
        plans += 1
        found = manager.plan([add("svc/a"), add("svc/b")])
        etcd.put("svc/b", f'{{"Addr":"9:{plans}"}}')
        return found

    with pytest.raises(ConflictError, match=r"^svc/b: changed by other clients 10 times"):
        apply(client, make_plan, max_txn_ops=128, batch_size=None, on_batch=lambda *_: None)

    assert plans == MAX_ATTEMPTS
    assert etcd.get("") == {b"svc/b": b'{"Addr":"9:10"}'}


def pruning(client: Client, make_plan: Callable[[], Plan], batch_size: int | None = None) -> Plan:
    """Make a plan that prunes."""
    return apply(
        client,
        make_plan,
        max_txn_ops=128,
        batch_size=batch_size,
        on_batch=lambda *_: None,
        prune=True,
    )


@pytest.mark.parametrize(("unchanged", "expected_plans"), [(27, 2), (28, 1)])
def test_apply_compares_unchanged_keys_if_a_transaction_takes_so_many_compares(
    etcd: Etcd, client: Client, manager: EndpointManager, unchanged: int, expected_plans: int
) -> None:
    """One compare for each of 100 new keys, one for the target: etcd refuses 129 in all."""
    found = [add(f"svc/found{each}") for each in range(unchanged)]
    manager.update(found)
    wanted = [*found, *(add(f"svc/new{each}") for each in range(100))]
    plans = 0

    def make_plan() -> Plan:
        nonlocal plans
        plans += 1
        made = manager.plan(wanted, prune=True)
        if plans == 1:
            etcd.put("svc/found0", '{"Addr":"9:9"}')
        return made

    pruning(client, make_plan)

    assert plans == expected_plans
    assert len(etcd.get("svc/")) == len(wanted)


@pytest.mark.server
def test_apply_prunes_also_what_another_client_adds_after_the_plan(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """As if it had been added before: it is in the result, or kept if it is on a lease."""
    lease = etcd.grant(60)
    plans = 0

    def make_plan() -> Plan:
        nonlocal plans
        plans += 1
        found = manager.plan([add("svc/a")], prune=True)
        if plans == 1:
            etcd.put("svc/new", '{"Addr":"9:9"}')
            etcd.put("svc/leased", '{"Addr":"8:8"}', lease)
            etcd.put("svc_other/new", '{"Addr":"9:9"}')
        return found

    made = pruning(client, make_plan)

    assert plans == 2
    assert updates(made) == [add("svc/a"), Update.delete("svc/new")]
    assert [each.key for each in made.kept] == ["svc/leased"]
    assert {*etcd.get("svc")} == {b"svc/a", b"svc/leased", b"svc_other/new"}


def test_apply_prunes_what_is_added_between_two_batches(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """Keys that it has added itself are no reason to read again."""
    etcd.put("svc/old", '{"Addr":"9:9"}')
    wanted = [add(f"svc/{each}") for each in range(5)]
    plans = 0

    def make_plan() -> Plan:
        nonlocal plans
        plans += 1
        return manager.plan(wanted, prune=True)

    pruning(client, make_plan, 2)
    assert plans == 1
    manager.delete_all()

    def on_batch(made: int, _: int) -> None:
        if made == 2:
            etcd.put("svc/new", '{"Addr":"9:9"}')

    made = manager.apply(wanted, prune=True, batch_size=2, on_batch=on_batch)
    assert Update.delete("svc/new") in updates(made)
    assert manager.list().by_key() == {each.key: each.endpoint for each in wanted}


def test_apply_gives_up_to_prune_when_other_clients_add_more_and_more(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """The error names the target, and nothing was written."""
    plans = 0

    def make_plan() -> Plan:
        nonlocal plans
        plans += 1
        found = manager.plan([add("svc/a")], prune=True)
        etcd.put(f"svc/new{plans}", "{}")
        return found

    with pytest.raises(ConflictError, match=r"^svc/: changed by other clients 10 times"):
        pruning(client, make_plan)

    assert len(etcd.get("svc/")) == MAX_ATTEMPTS


def test_apply_counts_the_compare_of_other_keys_when_it_prunes(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """etcd limits the compares of a transaction, too; batches make room for it."""
    etcd.put_all({f"svc/{each:03}".encode(): b'{"Addr":"9:9"}' for each in range(128)})
    wanted = [add(f"svc/{each:03}") for each in range(128)]

    with pytest.raises(TooManyOperationsError, match=r"^129 operations"):
        manager.apply(wanted, prune=True)
    made = manager.apply(wanted, prune=True, batch_size=128)
    assert len(made.differences) == 128
    assert manager.list().by_key() == {each.key: each.endpoint for each in wanted}


def test_apply_continues_with_the_rest_when_a_batch_lost(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """What was written before is part of the result."""
    wanted = [add(f"svc/{each}") for each in range(5)]

    def on_batch(made: int, _: int) -> None:
        if made == 2:
            etcd.put("svc/3", '{"Addr":"9:9"}')

    made = manager.apply(wanted, batch_size=2, on_batch=on_batch)

    assert sorted(updates(made)) == wanted
    assert made.unchanged == []
    assert manager.list().by_key() == {each.key: each.endpoint for each in wanted}


ROUNDS = pytest.mark.parametrize("rounds", [20, pytest.param(200, marks=pytest.mark.long)])


def at_once(*works: Callable[[], object]) -> None:
    """Run *works* in threads; an error in one of them is raised."""
    with ThreadPoolExecutor(len(works)) as pool:
        for each in [pool.submit(work) for work in works]:
            each.result()


@ROUNDS
def test_two_clients_at_once_lose_no_update(etcd: Etcd, rounds: int) -> None:
    """Each adds one to a counter, again and again."""
    etcd.put(KEY, '{"Addr":"1:1","Metadata":0}')

    def count() -> None:
        with Client([etcd.endpoint]) as client:
            manager = EndpointManager(client, "svc")

            def make_plan() -> Plan:
                listing = manager.list()
                number = listing.by_key()[KEY].metadata
                assert isinstance(number, int)
                return plan(listing, [add(KEY, metadata=number + 1)])

            made = 0
            while made < rounds:
                with suppress(ConflictError):  # the other one was faster ten times in a row
                    apply(
                        client,
                        make_plan,
                        max_txn_ops=128,
                        batch_size=None,
                        on_batch=lambda *_: None,
                    )
                    made += 1

    at_once(count, count)

    value = f'{{"Op":0,"Addr":"1:1","Metadata":{2 * rounds}}}'
    assert etcd.get("") == {KEY.encode(): value.encode()}


@ROUNDS
def test_two_clients_at_once_never_mix_their_files(
    etcd: Etcd, manager: EndpointManager, rounds: int
) -> None:
    """The target is as one of them wanted it, also where each found a key as it wanted it."""
    barrier = threading.Barrier(2)
    names = [f"svc/{each}" for each in "abc"]
    with Client([etcd.endpoint]) as one, Client([etcd.endpoint]) as other:

        def make(client: Client, addr: str) -> None:
            barrier.wait()
            EndpointManager(client, "svc").apply([add(each, addr) for each in names])

        for _ in range(rounds):
            manager.update([add("svc/a", "1:1"), add("svc/b", "2:2"), Update.delete("svc/c")])
            at_once(partial(make, one, "1:1"), partial(make, other, "2:2"))

            found = manager.list().by_key()
            assert len(found) == 3
            assert len({each.addr for each in found.values()}) == 1


@ROUNDS
def test_prune_and_another_client_at_once_lose_no_update(
    etcd: Etcd, manager: EndpointManager, rounds: int
) -> None:
    """What the other one adds is pruned and in the result, or it was added afterwards."""
    barrier = threading.Barrier(2)
    made: list[Plan] = []
    with Client([etcd.endpoint]) as one, Client([etcd.endpoint]) as other:

        def prune(number: int) -> None:
            barrier.wait()
            wanted = [add("svc/a", f"1:{number + 1}")]
            made.append(EndpointManager(one, "svc").apply(wanted, prune=True))

        def add_one() -> None:
            barrier.wait()
            EndpointManager(other, "svc").add_endpoint("svc/new", Endpoint("2:2"))

        for number in range(rounds):
            manager.delete_all()
            at_once(partial(prune, number), add_one)

            plan = made.pop()
            found = {each.key: each.create_revision for each in manager.list()}
            is_pruned = Update.delete("svc/new") in updates(plan)
            assert is_pruned == ("svc/new" not in found)
            assert is_pruned or found["svc/new"] > plan.header.revision


def test_pages_have_all_endpoints_at_one_revision(etcd: Etcd, manager: EndpointManager) -> None:
    """Endpoints that change while they are read don't change what is read."""
    before = etcd.revision()
    values = {f"svc/{each:04}".encode(): b'{"Addr":"1:1"}' for each in range(2500)}
    etcd.put_all({**values, b"svc/0007": b"x"})
    pages = manager.pages()
    first = next(pages)
    manager.delete_all()

    rest = list(pages)

    assert {each.header.revision for each in rest} == {first.header.revision}
    assert [each.more for each in (first, *rest)] == [True] * len(rest) + [False]
    assert {each.count for each in (first, *rest)} == {2500}
    found = [each.key for page in (first, *rest) for each in page.endpoints]
    assert found == sorted(each.decode() for each in values if each != b"svc/0007")
    assert [each.key for each in first.invalid] == ["svc/0007"]
    (empty,) = manager.pages()
    assert (empty.endpoints, empty.count, empty.more) == ([], 0, False)
    (past,) = manager.pages(revision=before)
    assert (past.endpoints, past.header.revision) == ([], before)


@pytest.mark.server
def test_plan_needs_only_read_permission_and_apply_is_refused(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """The compares of apply bypass nothing."""
    etcd = auth_etcd()
    with Client([etcd.endpoint], user="reader", password="reader-secret") as client:
        manager = EndpointManager(client, "svc")

        assert updates(manager.plan([add(KEY)])) == [add(KEY)]
        assert len([*manager.pages()]) == 1
        with pytest.raises(PermissionDeniedError):
            manager.apply([add(KEY)])
    assert etcd.get("") == {}
