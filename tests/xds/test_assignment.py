"""The set that is sent: one that every client takes, whatever is stored."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdnaming.errors import InvalidEndpointError
from etcdnaming.xds import xds_pb2 as xds
from etcdnaming.xds.assignment import Member, View, Zones, assignment, view_of
from etcdnaming.xds.attributes import AttributeKeys, read_attributes
from etcdnaming.xds.places import HostName, Place, read_place

ALL = View()

MEMBERS = st.lists(
    st.builds(
        Member,
        st.builds(
            Place,
            st.sampled_from(["10.0.0.1", "10.0.0.2", "::1", "::ffff:10.0.0.1"]),
            st.sampled_from([80, 81]),
        ),
        st.one_of(st.integers(1, 3), st.integers(1, 1_000_000)),
        st.sampled_from(["", "a", "b"]),
    )
)


def read(data: bytes) -> list[tuple[xds.LocalityLbEndpoints, list[xds.LbEndpoint]]]:
    """Return the localities, each with its endpoints."""
    message = xds.ClusterLoadAssignment.FromString(data)
    localities = [xds.LocalityLbEndpoints.FromString(each) for each in message.endpoints]
    return [
        (each, [xds.LbEndpoint.FromString(data) for data in each.lb_endpoints])
        for each in localities
    ]


def plain(
    members: list[Member], view: View = ALL, zones: Zones = "off"
) -> list[tuple[str, int, int, list[str]]]:
    """Return a row for each locality: its name, priority, weight, and addresses."""
    return [
        (
            f"{locality.locality.zone}/{locality.locality.sub_zone}",
            locality.priority,
            locality.load_balancing_weight.value,
            [each.endpoint.address.socket_address.address for each in endpoints],
        )
        for locality, endpoints in read(assignment("svc", members, view, zones))
    ]


def members(*found: tuple[str, int, str]) -> list[Member]:
    """Return members on port 80."""
    return [Member(Place(ip, 80), weight, zone) for ip, weight, zone in found]


@settings(deadline=None)
@given(MEMBERS, st.sampled_from(["off", "spread", "prefer"]), st.sampled_from(["", "a", "c"]))
def test_set_is_one_that_every_client_takes(found: list[Member], zones: Zones, zone: str) -> None:
    """A single value that a client refuses would spoil all of it."""
    localities = read(assignment("svc", found, View(zone), zones))

    places = [
        each.endpoint.address.socket_address for _, endpoints in localities for each in endpoints
    ]
    addresses = [(each.address.removeprefix("::ffff:"), each.port_value) for each in places]
    assert sorted(addresses) == sorted({member.place.address for member in found})
    names = [(each.priority, each.locality.zone, each.locality.sub_zone) for each, _ in localities]
    assert len(names) == len(set(names))
    assert {priority for priority, _, _ in names} in (set(), {0}, {0, 1})
    for priority in (0, 1):
        assert _sum(each for each, _ in localities if each.priority == priority) < 2**32
    for locality, endpoints in localities:
        assert locality.HasField("locality")
        assert endpoints
        assert all(each.load_balancing_weight.value > 0 for each in endpoints)


def _sum(localities: Any) -> int:
    return sum(each.load_balancing_weight.value for each in localities)


def test_weights_that_would_not_fit_keep_their_proportion() -> None:
    """Ten thousand endpoints may have a million each."""
    many = [Member(Place(f"10.0.{n // 250}.{n % 250}", 80), 1_000_000, "") for n in range(10_000)]
    light = [Member(Place(f"10.1.{n // 250}.{n % 250}", 80), 500_000, "") for n in range(10_000)]

    (_, _, half, _), (_, _, whole, _) = plain([*many, *light])

    assert whole / half == pytest.approx(2, rel=1e-3)
    assert half + whole < 2**32


def test_equal_endpoints_are_one_locality_without_a_name() -> None:
    """That is all most services need."""
    found = members(("10.0.0.2", 1, "a"), ("10.0.0.1", 1, "b"))

    assert plain(found) == [("/", 0, 2, ["10.0.0.2", "10.0.0.1"])]


def test_each_weight_is_a_locality() -> None:
    """gRPC's round_robin ignores the weights of endpoints, but not those of localities."""
    found = members(("10.0.0.1", 3, ""), ("10.0.0.2", 1, ""), ("10.0.0.3", 1, ""))

    assert plain(found) == [
        ("/weight-1", 0, 2, ["10.0.0.2", "10.0.0.3"]),
        ("/weight-3", 0, 3, ["10.0.0.1"]),
    ]


def test_zones_spread_are_localities() -> None:
    """One each."""
    found = members(("10.0.0.1", 1, "a"), ("10.0.0.2", 1, "b"), ("10.0.0.3", 1, "a"))

    assert plain(found, zones="spread") == [
        ("a/", 0, 2, ["10.0.0.1", "10.0.0.3"]),
        ("b/", 0, 1, ["10.0.0.2"]),
    ]


def test_zone_of_the_client_comes_first() -> None:
    """All others are for when there is nothing left in it."""
    found = members(("10.0.0.1", 1, "a"), ("10.0.0.2", 1, "b"), ("10.0.0.3", 1, ""))

    assert plain(found, View("b"), "prefer") == [
        ("b/", 0, 1, ["10.0.0.2"]),
        ("/", 1, 1, ["10.0.0.3"]),
        ("a/", 1, 1, ["10.0.0.1"]),
    ]


@pytest.mark.parametrize("zone", ["", "elsewhere"])
def test_client_without_endpoints_in_its_zone_gets_all(zone: str) -> None:
    """Priorities have to begin with 0."""
    found = members(("10.0.0.1", 1, "a"), ("10.0.0.2", 1, "b"))

    assert {priority for _, priority, _, _ in plain(found, View(zone), "prefer")} == {0}


def test_same_address_twice_is_one_endpoint_with_the_larger_weight() -> None:
    """And the zone of the first key; an IPv4-mapped address is the same."""
    found = members(("10.0.0.1", 1, "a"), ("::ffff:10.0.0.1", 5, "b"), ("10.0.0.1", 2, "c"))

    assert plain(found, zones="spread") == [("a/", 0, 5, ["10.0.0.1"])]


def test_empty_set_has_no_locality() -> None:
    """A locality without endpoints is something else."""
    assert plain([]) == []


def test_empty_set_of_java_has_a_tombstone() -> None:
    """From 1.76 on it goes on calling the last endpoints of a set that became empty."""
    view = view_of(xds.Node(user_agent_name="gRPC Java"), "off")

    assert plain([], view) == [("/", 0, 1, ["127.0.0.1"])]
    assert plain(members(("10.0.0.1", 1, "")), view) == [("/", 0, 1, ["10.0.0.1"])]


def test_zone_of_a_client_matters_only_where_it_is_preferred() -> None:
    """Otherwise all clients share an encoded set."""
    node = xds.Node(locality=xds.Locality(zone="a"))

    assert (view_of(node, "spread"), view_of(node, "prefer")) == (View(), View("a"))


@pytest.mark.parametrize(
    ("metadata", "expected", "problem"),
    [
        (None, (1, "", False), ""),
        ("text", (1, "", False), ""),
        ({"weight": 1_000_000}, (1_000_000, "", False), ""),
        ({"weight": 0}, (1, "", True), ""),
        ({"weight": -1}, (1, "", False), "weight -1 is not an integer from 0 to 1000000"),
        ({"weight": 1_000_001}, (1, "", False), "weight 1000001 is not"),
        ({"weight": 3.0}, (3, "", False), ""),
        ({"weight": 1.5}, (1, "", False), "weight 1.5 is not"),
        ({"weight": []}, (1, "", False), "weight an array is not"),
        ({"weight": {}}, (1, "", False), "weight an object is not"),
        ({"weight": True}, (1, "", False), "weight True is not"),
        ({"weight": None}, (1, "", False), "weight None is not"),
        ({"draining": True, "zone": "a"}, (1, "a", True), ""),
        ({"draining": "yes"}, (1, "", False), "draining 'yes' is neither true nor false"),
        ({"zone": 1}, (1, "", False), "zone 1 is not a string"),
    ],
)
def test_attributes_that_make_no_sense_count_as_missing(
    metadata: Any, expected: tuple[int, str, bool], problem: str
) -> None:
    """And it is said what is wrong with them."""
    attributes, said = read_attributes(metadata, AttributeKeys())

    assert attributes == expected
    assert said.startswith(problem) if problem else not said


def test_other_members_of_the_metadata_can_be_read() -> None:
    """As the options say."""
    keys = AttributeKeys(weight="w", zone="az", draining="off")

    assert read_attributes({"w": 2, "az": "x", "off": True, "weight": 9}, keys)[0] == (2, "x", True)


@pytest.mark.parametrize(
    ("addr", "expected"),
    [
        ("10.0.0.1:80", ("10.0.0.1", 80)),
        ("[::1]:80", ("::1", 80)),
        ("[2001:DB8:0::1]:80", ("2001:db8::1", 80)),
        ("[::ffff:1.2.3.4]:80", ("::ffff:1.2.3.4", 80)),
    ],
)
def test_addresses_are_sent_as_literals(addr: str, expected: tuple[str, int]) -> None:
    """Clients refuse everything else."""
    place = read_place(addr)

    assert isinstance(place, Place)
    assert (place.ip, place.port) == expected


@pytest.mark.parametrize(
    "addr", ["10.0.0.1", "10.0.0.1:0", "10.0.0.1:65536", "[fe80::1%eth0]:80", "unix:/run/s", ":80"]
)
def test_addresses_that_mean_nothing_elsewhere_are_left_out(addr: str) -> None:
    """No port, a scope, a unix socket."""
    with pytest.raises(InvalidEndpointError):
        read_place(addr)


@pytest.mark.parametrize("addr", ["db.example:80", "localhost:80", "1.2.3:80", "01.2.3.4:80"])
def test_anything_else_is_a_name_to_look_up(addr: str) -> None:
    """That the DNS may not know."""
    assert isinstance(read_place(addr), HostName)
