"""Updates in one transaction: all or nothing, folded, every key on its lease."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from harness import Etcd
from harness.hostile import HostileProxy
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdnaming import wire
from etcdnaming.endpoints import transaction
from etcdnaming.errors import (
    ConditionFailedError,
    ConflictError,
    InvalidEndpointError,
    LeaseNotFoundError,
    TooManyOperationsError,
)
from etcdnaming.etcd import Client, rpc
from etcdnaming.model import Condition, Endpoint, Operation, StoredEndpoint, Update

pytestmark = pytest.mark.server

ONE, TWO = Endpoint("1.1.1.1:1"), Endpoint("2.2.2.2:2", {"zone": "a"})
VALUE_TWO = b'{"Op":0,"Addr":"2.2.2.2:2","Metadata":{"zone":"a"}}'


def adds(*names: str, endpoint: Endpoint = ONE) -> list[Update]:
    """Return an add for each of *names*."""
    return [Update.add(f"svc/{name}", endpoint) for name in names]


def test_update_stores_the_bytes_that_go_stores(etcd: Etcd, client: Client) -> None:
    """Byte for byte."""
    transaction.update(client, [Update.add("svc/e2", TWO)])
    assert etcd.get("svc/") == {b"svc/e2": VALUE_TWO}


def test_update_makes_a_hundred_updates_in_one_revision(etcd: Etcd, client: Client) -> None:
    """Readers see all of them or none."""
    before = etcd.revision()
    result = transaction.update(client, adds(*map(str, range(100))))
    assert result.header.revision == etcd.revision() == before + 1
    assert len(etcd.get("svc/")) == 100


def test_update_deletes_and_adds_one_key(etcd: Etcd, client: Client) -> None:
    """The example of etcd's guide; etcd itself answers *duplicate key*."""
    transaction.update(client, adds("e1", "e3"))
    transaction.update(
        client,
        [Update.delete("svc/e1"), Update.add("svc/e1", TWO), Update.delete("svc/e3")],
    )
    assert etcd.get("svc/") == {b"svc/e1": VALUE_TWO}


@pytest.mark.parametrize("others", [[], ["new"], ["new", "old"]])
def test_update_keeps_a_changed_endpoint_on_its_lease(
    etcd: Etcd, client: Client, others: Sequence[str]
) -> None:
    """etcdctl and Go detach it silently, and leave a permanent key."""
    lease = etcd.grant(600)
    etcd.put("svc/e1", "{}", lease)
    etcd.put("svc/old", "{}")

    result = transaction.update(client, adds("e1", *others, endpoint=TWO))

    assert etcd.entry("svc/e1").value == VALUE_TWO
    assert etcd.lease_of("svc/e1") == lease
    assert {etcd.lease_of(f"svc/{name}") for name in others} <= {0}
    assert result.detached == {}
    leases = {"svc/e1": None, "svc/old": None, "svc/new": 0}
    assert [each.lease for each in result.updates] == [leases[each.key] for each in result.updates]


def test_update_stores_an_endpoint_as_large_as_etcd_takes(etcd: Etcd, client: Client) -> None:
    """It is sent once per request; a key that exists stays on its lease."""
    lease = etcd.grant(600)
    etcd.put("svc/leased", "{}", lease)
    large = Endpoint("1.1.1.1:1", "x" * (1 << 20))

    for key in ("svc/leased", "svc/new"):
        transaction.update(client, [Update.add(key, large)])

    assert etcd.get("svc/") == dict.fromkeys([b"svc/leased", b"svc/new"], wire.encode(large))
    assert (etcd.lease_of("svc/leased"), etcd.lease_of("svc/new")) == (lease, 0)


def test_update_attaches_to_a_given_lease_and_detaches_for_zero(etcd: Etcd, client: Client) -> None:
    """As --lease and --no-lease ask for."""
    first, second = etcd.grant(600), etcd.grant(600)
    for name in ("e1", "e2"):
        etcd.put(f"svc/{name}", "{}", first)
    transaction.update(
        client,
        [Update.add("svc/e1", ONE, lease=second), Update.add("svc/e2", ONE, lease=0)],
    )
    assert (etcd.lease_of("svc/e1"), etcd.lease_of("svc/e2")) == (second, 0)


def test_update_reports_a_fold_that_detaches_a_key(etcd: Etcd, client: Client) -> None:
    """Delete, then add: no update asked for a permanent key."""
    lease = etcd.grant(600)
    etcd.put("svc/e1", "{}", lease)
    result = transaction.update(client, [Update.delete("svc/e1"), *adds("e1", "e2")])
    assert etcd.lease_of("svc/e1") == 0
    assert result.detached == {"svc/e1": lease}


def test_update_writes_nothing_when_the_lease_is_unknown(etcd: Etcd, client: Client) -> None:
    """Not even the updates before it."""
    with pytest.raises(LeaseNotFoundError, match="requested lease not found"):
        transaction.update(client, [*adds("e1"), Update.add("svc/e2", ONE, lease=12345)])
    assert etcd.get("svc/") == {}


def test_update_refuses_more_operations_than_the_server_takes(etcd: Etcd, client: Client) -> None:
    """It is never split silently."""
    names = [str(n) for n in range(129)]
    with pytest.raises(TooManyOperationsError, match="more than the 128") as refused:
        transaction.update(client, adds(*names))
    assert (refused.value.count, refused.value.limit) == (129, 128)
    deletions = [Update.delete(f"svc/{name}") for name in names[:128]]
    with pytest.raises(TooManyOperationsError, match="more than the 128"):
        transaction.update(client, [*adds("e1"), *deletions])
    assert etcd.get("svc/") == {}

    for _ in range(2):  # all new, then all there
        transaction.update(client, adds(*names[:128]))
    assert {entry.version for entry in etcd.entries("svc/")} == {2}


@pytest.mark.parametrize(("keys", "conditions"), [(1, 129), (100, 100)])
def test_update_refuses_more_conditions_than_the_server_takes(
    etcd: Etcd, client: Client, keys: int, conditions: int
) -> None:
    """Whether a key exists is a condition, too; etcd itself refuses with other words."""
    absent = [Condition(f"svc/c{n}", 0) for n in range(conditions)]
    with pytest.raises(TooManyOperationsError) as refused:
        transaction.update(client, adds(*map(str, range(keys))), conditions=absent)
    assert refused.value.count in {conditions + keys, 129, 130}
    assert etcd.get("svc/") == {}


def test_update_refuses_an_endpoint_that_cannot_be_encoded(etcd: Etcd, client: Client) -> None:
    """Go could not read NaN. Nothing is sent."""
    revision = etcd.revision()
    with pytest.raises(InvalidEndpointError):
        transaction.update(client, [*adds("e1"), Update.add("svc/e2", Endpoint("", float("nan")))])
    assert etcd.revision() == revision


ABSENT, EXISTS = 0, None


@pytest.mark.parametrize("name", ["there", "missing"])
@pytest.mark.parametrize("wanted", [ABSENT, EXISTS, "same", "other"])
@pytest.mark.parametrize("beside", [False, True])
def test_update_writes_nothing_when_a_condition_fails(
    etcd: Etcd, client: Client, name: str, wanted: object, beside: bool
) -> None:
    """It is compared in the same transaction, and the error names it."""
    etcd.put("svc/there", "{}")
    revision = etcd.entry("svc/there").mod_revision
    mod_revision = {"same": revision, "other": revision - 1}.get(str(wanted), wanted)
    condition = Condition(f"svc/{name}", mod_revision)  # type: ignore[arg-type]
    updates = adds("new") if beside else adds(name, "new")
    before = etcd.get("svc/")

    if (name, wanted) in {("there", EXISTS), ("there", "same"), ("missing", ABSENT)}:
        transaction.update(client, updates, conditions=[condition])
        assert len(etcd.get("svc/")) == len({b"svc/there", *(u.key.encode() for u in updates)})
    else:
        with pytest.raises(ConditionFailedError) as refused:
            transaction.update(client, updates, conditions=[condition])
        assert refused.value.failed == (condition,)
        assert refused.value.header.revision == etcd.revision()
        assert etcd.get("svc/") == before


def test_update_keeps_the_lease_of_a_conditional_change(etcd: Etcd, client: Client) -> None:
    """The condition says that the key exists, so no second read is needed."""
    lease = etcd.grant(600)
    etcd.put("svc/e1", "{}", lease)
    condition = Condition("svc/e1", etcd.entry("svc/e1").mod_revision)
    result = transaction.update(client, adds("e1", "e2"), conditions=[condition])
    assert etcd.lease_of("svc/e1") == lease
    assert [each.lease for each in result.updates] == [None, 0]
    absent = Condition("svc/e3", 0)
    result = transaction.update(client, adds("e1", "e3"), conditions=[absent])
    assert [each.lease for each in result.updates] == [None, 0]


def test_update_returns_previous_values(etcd: Etcd, client: Client) -> None:
    """Always for deletes; for puts if requested."""
    transaction.update(client, adds("e1", "e2"))
    revision = etcd.revision()
    updates = [Update.delete("svc/e1"), Update.add("svc/e2", TWO), *adds("e3")]

    quiet = transaction.update(client, updates)
    assert quiet.previous == {"svc/e1": StoredEndpoint("svc/e1", ONE, revision, revision, 1, 0)}

    result = transaction.update(client, updates, previous=True)
    assert list(result.previous) == ["svc/e2", "svc/e3"]


class Rival(Client):
    """A client that finds svc/e1 created or deleted before its transactions, *times* times."""

    def __init__(self, etcd: Etcd, lease: int, times: int) -> None:
        super().__init__([etcd.endpoint])
        self._etcd, self._lease, self._times = etcd, lease, times

    def _txn(self, request: rpc.TxnRequest) -> rpc.TxnResponse:
        """Write, after the change by another client."""
        if self._times:
            self._times -= 1
            if self._etcd.get("svc/e1"):
                self._etcd.delete("svc/e1")
            else:
                self._etcd.put("svc/e1", "{}", self._lease)
        return super()._txn(request)


@pytest.mark.parametrize("times", [1, 2, 8, 9])
def test_update_guesses_again_when_keys_change(etcd: Etcd, times: int) -> None:
    """Other clients create and delete the key meanwhile; it stays on its lease, if it has one."""
    lease = etcd.grant(600)
    with Rival(etcd, lease, times) as client:
        result = transaction.update(client, adds("e1", "e2", endpoint=TWO))
    assert set(etcd.get("svc/").values()) == {VALUE_TWO}
    assert etcd.lease_of("svc/e1") == (lease if times % 2 else 0)
    assert result.updates[0].lease == (None if times % 2 else 0)


def test_update_raises_conflict_after_ten_wrong_guesses(etcd: Etcd) -> None:
    """Nothing is written."""
    with Rival(etcd, 0, 10) as client, pytest.raises(ConflictError, match="svc/e1"):
        transaction.update(client, adds("e1", "e2"))
    assert etcd.get("svc/") == {}


# One step: which key, and whether it is deleted, kept, made permanent, or put on a lease.
steps = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["delete", None, 0, 1, 2])),
    max_size=8,
)


@settings(max_examples=100)
@given(before=steps, steps=steps)
def test_update_of_many_equals_single_updates_in_order(
    _shared_etcd: Etcd,
    before: list[tuple[str, object]],
    steps: list[tuple[str, object]],
) -> None:
    """On keys, values and leases."""
    with Client([_shared_etcd.endpoint]) as client:
        leases = [0, *(client.lease_grant(600).id for _ in range(2))]
        for updates in (
            as_updates("together", before, leases),
            as_updates("apart", before, leases),
        ):
            for update in updates:
                transaction.update(client, [update])

        result = transaction.update(client, as_updates("together", steps, leases))
        held = seen(_shared_etcd, "together")
        for update in result.updates:
            if update.lease is not None:
                assert held[update.key.removeprefix("together").encode()][1] == update.lease
        for update in as_updates("apart", steps, leases):
            transaction.update(client, [update])

        assert held == seen(_shared_etcd, "apart")
        _shared_etcd.empty()


def as_updates(
    target: str, steps: Sequence[tuple[str, object]], leases: Sequence[int]
) -> list[Update]:
    """Return *steps* under *target*; every add has another address."""
    return [
        Update.delete(f"{target}/{name}")
        if what == "delete"
        else Update(
            Operation.ADD,
            f"{target}/{name}",
            Endpoint(str(number)),
            leases[what] if isinstance(what, int) else None,
        )
        for number, (name, what) in enumerate(steps)
    ]


def seen(etcd: Etcd, target: str) -> dict[bytes, tuple[bytes, int]]:
    """Return value and lease of each key under *target*."""
    return {
        entry.key.removeprefix(target.encode()): (entry.value, entry.lease)
        for entry in etcd.entries(f"{target}/")
    }


def test_update_of_one_key_is_one_request_whether_it_exists_or_not(etcd: Etcd) -> None:
    """A large value is not sent twice in one request, so it may take two."""
    with HostileProxy(etcd.endpoint) as proxy, Client([proxy.endpoint]) as client:
        for requests in (1, 2):
            transaction.update(client, adds("e1"))
            assert len(proxy.remaining["Txn"]) == requests
        large = Endpoint("1:1", "x" * (transaction.LARGE_REQUEST + 1))
        transaction.update(client, adds("e1", endpoint=large))
        assert len(proxy.remaining["Txn"]) == 4
