"""`EndpointManager.modify` loses no change, and `merge_patch` is RFC 7396."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import TIMEOUT, Etcd
from hypothesis import given
from hypothesis import strategies as st

from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.errors import (
    ConflictError,
    EndpointNotFoundError,
    InvalidKeyError,
    InvalidValueError,
    TooManyOperationsError,
)
from etcdnaming.etcd import Client
from etcdnaming.metadata import merge_patch
from etcdnaming.model import JSON, Endpoint, StoredEndpoint

# The table of RFC 7396, appendix A: original, patch, result.
RFC_7396 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=8,
)


@pytest.fixture
def manager(client: Client) -> EndpointManager:
    """The endpoints of ``svc``."""
    return EndpointManager(client, "svc")


@pytest.mark.parametrize(("original", "patch", "result"), RFC_7396)
def test_merge_patch_does_what_the_rfc_lists(original: JSON, patch: JSON, result: JSON) -> None:
    """Appendix A."""
    assert merge_patch(original, patch) == result


def test_merge_patch_merges_objects_of_any_depth() -> None:
    """etcd may hold metadata that is nested deeper than Python's stack is."""
    value: JSON = {"kept": True}
    patch: JSON = {"zone": "a"}
    for _ in range(9000):
        value, patch = {"in": value}, {"in": patch}

    merged = merge_patch(value, patch)

    for _ in range(9000):
        assert isinstance(merged, dict)
        merged = merged["in"]
    assert merged == {"kept": True, "zone": "a"}


@given(json_values, json_values)
def test_merge_patch_applied_twice_is_merge_patch_applied_once(value: JSON, patch: JSON) -> None:
    """A repeated change is harmless."""
    once = merge_patch(value, patch)

    assert merge_patch(once, patch) == once


@given(st.dictionaries(st.text(), json_values), st.dictionaries(st.text(), json_values))
def test_merge_patch_changes_only_the_members_of_the_patch(
    value: dict[str, JSON], patch: dict[str, JSON]
) -> None:
    """The others stay as they are, and the arguments are not changed."""
    before = (repr(value), repr(patch))

    merged = merge_patch(value, patch)

    assert isinstance(merged, dict)
    assert {k: v for k, v in merged.items() if k not in patch} == {
        k: v for k, v in value.items() if k not in patch
    }
    assert {k for k, v in patch.items() if v is not None} == merged.keys() & patch.keys()
    assert (repr(value), repr(patch)) == before


def added(stored: StoredEndpoint) -> Endpoint:
    """Return the endpoint with one more in its metadata, which is a number."""
    assert isinstance(stored.endpoint.metadata, int)
    return Endpoint(stored.endpoint.addr, stored.endpoint.metadata + 1)


@pytest.mark.parametrize("rounds", [20, pytest.param(200, marks=pytest.mark.long)])
def test_modify_loses_no_change_of_two_operators_at_once(etcd: Etcd, rounds: int) -> None:
    """Each adds 1 to the same two endpoints in every round."""
    for key in ("svc/e1", "svc/e2"):
        etcd.put(key, '{"Addr":"1:1","Metadata":0}')
    start = threading.Barrier(2, timeout=TIMEOUT)

    def operate() -> None:
        with Client([etcd.endpoint]) as client:
            manager = EndpointManager(client, "svc")
            for _ in range(rounds):
                start.wait()
                manager.modify(["svc/e1", "svc/e2"], added)

    with ThreadPoolExecutor(2) as operators:
        for done in [operators.submit(operate) for _ in range(2)]:
            done.result()

    expected = f'{{"Op":0,"Addr":"1:1","Metadata":{2 * rounds}}}'.encode()
    assert etcd.get("svc/") == {b"svc/e1": expected, b"svc/e2": expected}
    assert etcd.entry("svc/e1").version == 2 * rounds + 1


def test_modify_reads_again_when_the_key_was_changed_meanwhile(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """The change of the other client stays, on its lease."""
    lease = etcd.grant(60)
    etcd.put("svc/e1", '{"Addr":"1:1","Metadata":1}')
    seen = []

    def change(stored: StoredEndpoint) -> Endpoint:
        seen.append((stored.endpoint.metadata, stored.lease))
        if len(seen) == 1:
            etcd.put("svc/e1", '{"Addr":"2:2","Metadata":5}', lease)
        return added(stored)

    result = manager.modify("svc/e1", change, previous=True)

    assert seen == [(1, 0), (5, lease)]
    assert manager.list().by_key() == {"svc/e1": Endpoint("2:2", 6)}
    assert etcd.lease_of("svc/e1") == lease
    assert [each.endpoint for each in result.previous.values()] == [Endpoint("2:2", 5)]  # type: ignore[union-attr]
    assert result.header.revision == etcd.revision()


def test_modify_gives_up_when_the_key_is_changed_each_time(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """After ten attempts, and nothing was written."""
    etcd.put("svc/e1", '{"Addr":"1:1","Metadata":0}')

    def change(stored: StoredEndpoint) -> Endpoint:
        etcd.put("svc/e1", '{"Addr":"2:2","Metadata":0}')
        return added(stored)

    with pytest.raises(ConflictError, match=r"svc/e1: changed by other clients 10 times"):
        manager.modify("svc/e1", change)
    assert etcd.entry("svc/e1").version == 11


def test_modify_fails_when_the_key_is_deleted_meanwhile(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """A change never brings an endpoint back."""
    etcd.put("svc/e1", '{"Addr":"1:1","Metadata":0}')

    def change(stored: StoredEndpoint) -> Endpoint:
        etcd.delete("svc/e1")
        return added(stored)

    with pytest.raises(EndpointNotFoundError, match="not found: svc/e1: nothing was written"):
        manager.modify("svc/e1", change)
    assert etcd.get("svc/") == {}


def test_modify_checks_the_keys_before_anything_is_sent(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """They belong to the target, and fit into a transaction."""
    with pytest.raises(InvalidKeyError):
        manager.modify(["svc/e1", "svc_other/e1"], added)
    with pytest.raises(TooManyOperationsError):
        manager.modify([f"svc/{number}" for number in range(129)], added)
    with pytest.raises(InvalidKeyError):
        manager.get("svc_other/e1")


def test_modify_warns_of_a_new_address_that_cannot_be_dialled(
    etcd: Etcd, manager: EndpointManager, caplog: pytest.LogCaptureFixture
) -> None:
    """One that was there already draws no warning."""
    etcd.put("svc/e1", '{"Addr":"x","Metadata":0}')

    manager.modify("svc/e1", added)
    assert caplog.messages == []
    manager.modify("svc/e1", lambda stored: stored.endpoint._replace(addr="y"))
    assert caplog.messages == [
        "svc/e1: gRPC clients can't dial it: the address 'y' has no port: write y:PORT"
    ]


def test_get_returns_one_endpoint_with_its_lease_and_revisions(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """A missing key is None, a value that can't be read an error."""
    lease = etcd.grant(60)
    etcd.put("svc/e1", '{"Addr":"1:1"}', lease)
    revision = etcd.revision()
    etcd.put("svc/bad", "nonsense")

    assert manager.get("svc/e1") == StoredEndpoint(
        "svc/e1", Endpoint("1:1"), revision, revision, 1, lease
    )
    assert manager.get("svc/x") is None
    with pytest.raises(InvalidValueError, match="svc/bad: "):
        manager.get("svc/bad")
