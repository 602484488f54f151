"""Results behave as a Python user expects of what they hold."""

from __future__ import annotations

import copy
import pickle

import pytest
from harness import Etcd
from harness.nested import nested

from etcdnaming import wire
from etcdnaming.endpoints.manager import EndpointManager, services
from etcdnaming.errors import InvalidEndpointError
from etcdnaming.etcd import Client
from etcdnaming.model import (
    JSON,
    ChangeBatch,
    Deletion,
    Endpoint,
    Header,
    Keys,
    Listing,
    Services,
    StoredEndpoint,
    StoredKey,
    UpdateResult,
)

HEADER = Header(1, 2, 7, 1)
STORED = [StoredEndpoint(f"svc/e{n}", Endpoint(f"10.0.0.1:{n}"), 5, 6, 2, 0) for n in range(1, 4)]


def listing(count: int) -> Listing:
    """Return a listing of *count* endpoints."""
    return Listing(HEADER, "svc", STORED[:count], [], count, more=False)


RESULTS = [
    listing(3),
    Keys(HEADER, "svc", [StoredKey("svc/e1", 5, 6, 2, 0)], 1, more=False),
    Services(HEADER, "foo", {"foo/svc": 3}),
    ChangeBatch(7, [], [], first=True),
    Deletion(HEADER, 2, []),
    UpdateResult(HEADER, (), {}, {}),
]


def test_listing_is_the_sequence_of_its_endpoints() -> None:
    """A named tuple had the length 6, was never false, and began with its header."""
    found = listing(3)
    assert (len(found), [*found], [*reversed(found)]) == (3, STORED, STORED[::-1])
    assert (found[0], found[-1], found[1:]) == (STORED[0], STORED[2], STORED[1:])
    assert STORED[1] in found
    assert HEADER not in found
    assert found
    assert not listing(0)
    with pytest.raises(IndexError):
        listing(0)[0]


def test_keys_and_services_are_what_they_hold() -> None:
    """A sequence of keys, and a mapping from targets to numbers of keys."""
    _, keys, found, *_ = RESULTS
    assert isinstance(keys, Keys)
    assert isinstance(found, Services)
    assert ([each.key for each in keys], len(keys)) == (["svc/e1"], 1)
    assert not Keys(HEADER, "svc", [], 5, more=False)
    assert (dict(found), found["foo/svc"], "foo" in found) == ({"foo/svc": 3}, 3, False)
    assert not Services(HEADER, "foo", {})


def test_batch_without_changes_is_true_and_has_no_items() -> None:
    """``while batch := watch.get(1)`` ends when there is no batch, not at an empty first set."""
    batch = ChangeBatch(7, [], [], first=True)
    assert batch
    assert (len(batch), [*batch]) == (0, [])


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_result_is_frozen_and_equal_to_its_copies(result: Listing) -> None:
    """Pickled ones too; not equal to one that differs, nor to a tuple."""
    pickled = pickle.dumps(result)
    assert copy.copy(result) == copy.deepcopy(result) == result
    assert pickle.loads(pickled) == result  # noqa: S301 - ours
    first = result.__slots__[0]
    assert result._replace(**{first: None}) != result
    assert result != tuple(getattr(result, name) for name in result.__slots__)
    with pytest.raises(AttributeError, match=f"a {type(result).__name__} can't be changed"):
        setattr(result, first, None)
    with pytest.raises(AttributeError, match="can't be changed"):
        delattr(result, first)


def test_repr_of_a_result_shows_its_revision_and_first_items() -> None:
    """However many there are."""
    many = listing(3)._replace(endpoints=STORED[:1] * 100_000, count=100_000)
    assert repr(listing(1)) == (
        "Listing(revision=7, target='svc', endpoints=[StoredEndpoint(key='svc/e1', "
        "endpoint=Endpoint(addr='10.0.0.1:1', metadata=None), create_revision=5, mod_revision=6, "
        "version=2, lease=0)], invalid=[], count=1, more=False)"
    )
    assert "... 99995 more], invalid=[], count=100000" in repr(many)
    assert repr(RESULTS[2]) == "Services(revision=7, prefix='foo', counts={'foo/svc': 3}, others=0)"


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        (1, True, False),
        ({"draining": 1}, {"draining": True}, False),
        ([0], [False], False),
        (3, 3.0, True),
        ([1, {"a": None}], (1, {"a": None}), True),
        ([1, 2], [1], False),
        ({"a": 1}, {"b": 1}, False),
        ({}, [], False),
        (nested(9999), nested(9999), True),
        (nested(9999), nested(9998), False),
    ],
)
def test_endpoints_are_equal_when_their_metadata_is_the_same_json(
    first: JSON, second: JSON, equal: bool
) -> None:
    """For Python, 1 equals true, and deep metadata can't be compared at all."""
    one, other = Endpoint("a:1", first), Endpoint("a:1", second)

    assert (one == other) is (other == one) is equal
    assert (one != other) is (other != one) is not equal
    assert one != Endpoint("a:2", first)
    assert None not in (one, other)
    assert (STORED[0]._replace(endpoint=one) == STORED[0]._replace(endpoint=other)) is equal


def test_repr_of_an_endpoint_succeeds_when_its_metadata_is_nested_deep() -> None:
    """Otherwise one value of etcd would prevent that a listing, an event or a change is printed."""
    deep = Endpoint("a:1", nested(9999))
    found = listing(1)._replace(endpoints=[STORED[0]._replace(endpoint=deep)])

    # Whether Python can print the metadata depends on its version.
    assert repr(deep).startswith("Endpoint(addr='a:1', metadata=")
    assert "Endpoint(addr='a:1', metadata=" in repr(found)


def test_metadata_that_is_not_json_is_refused_by_type_checkers() -> None:
    """mypy reports a comment that is not needed: it does not take the set as metadata."""
    endpoint = Endpoint("1.2.3.4:80", {1, 2})  # type: ignore[arg-type]
    with pytest.raises(InvalidEndpointError):
        wire.encode(endpoint)


def test_results_of_the_library_hold_what_etcd_holds(etcd: Etcd, client: Client) -> None:
    """Metadata is read as JSON is, without a cast; type checkers see this line too."""
    manager = EndpointManager(client, "svc")
    assert not manager.list()
    assert not manager.list_keys()
    manager.add_endpoint("svc/e1", Endpoint("10.0.0.1:80", {"zone": "a", "weight": 3}))
    zones = {stored.endpoint.addr: stored.endpoint.metadata["zone"] for stored in manager.list()}
    assert zones == {"10.0.0.1:80": "a"}
    assert [each.key for each in manager.list_keys()] == ["svc/e1"]
    assert dict(services(client, "svc")) == {"svc": 1}
    with manager.watch() as watch:
        assert [change.key for change in next(watch)] == ["svc/e1"]
