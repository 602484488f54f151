"""The set of endpoints that is sent: every client accepts it, whatever is stored in etcd."""

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
    """Return a tuple for each locality: its name, priority, weight, and addresses."""
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
def test_assignment_is_valid_for_every_client_whatever_is_stored(
    found: list[Member], zones: Zones, zone: str
) -> None:
    """A client that refuses one value refuses the whole set."""
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


def test_weights_are_scaled_in_proportion_when_their_sum_exceeds_32_bits() -> None:
    """Ten thousand endpoints may have the weight of a million each."""
    many = [Member(Place(f"10.0.{n // 250}.{n % 250}", 80), 1_000_000, "") for n in range(10_000)]
    light = [Member(Place(f"10.1.{n // 250}.{n % 250}", 80), 500_000, "") for n in range(10_000)]

    (_, _, half, _), (_, _, whole, _) = plain([*many, *light])

    assert whole / half == pytest.approx(2, rel=1e-3)
    assert half + whole < 2**32


def test_endpoints_with_equal_attributes_are_one_locality_without_a_name() -> None:
    """Most services need no more."""
    found = members(("10.0.0.2", 1, "a"), ("10.0.0.1", 1, "b"))

    assert plain(found) == [("/", 0, 2, ["10.0.0.2", "10.0.0.1"])]


def test_each_weight_has_its_own_locality() -> None:
    """gRPC's round_robin ignores the weights of endpoints, but not those of localities."""
    found = members(("10.0.0.1", 3, ""), ("10.0.0.2", 1, ""), ("10.0.0.3", 1, ""))

    assert plain(found) == [
        ("/weight-1", 0, 2, ["10.0.0.2", "10.0.0.3"]),
        ("/weight-3", 0, 3, ["10.0.0.1"]),
    ]


def test_each_zone_has_its_own_locality_with_zones_spread() -> None:
    """All localities have the same priority."""
    found = members(("10.0.0.1", 1, "a"), ("10.0.0.2", 1, "b"), ("10.0.0.3", 1, "a"))

    assert plain(found, zones="spread") == [
        ("a/", 0, 2, ["10.0.0.1", "10.0.0.3"]),
        ("b/", 0, 1, ["10.0.0.2"]),
    ]


def test_zone_of_the_client_has_the_first_priority_with_zones_prefer() -> None:
    """The other zones get calls only when no endpoint is left in it."""
    found = members(("10.0.0.1", 1, "a"), ("10.0.0.2", 1, "b"), ("10.0.0.3", 1, ""))

    assert plain(found, View("b"), "prefer") == [
        ("b/", 0, 1, ["10.0.0.2"]),
        ("/", 1, 1, ["10.0.0.3"]),
        ("a/", 1, 1, ["10.0.0.1"]),
    ]


@pytest.mark.parametrize("zone", ["", "elsewhere"])
def test_client_without_endpoints_in_its_zone_gets_all_zones_at_the_first_priority(
    zone: str,
) -> None:
    """Priorities must begin with 0."""
    found = members(("10.0.0.1", 1, "a"), ("10.0.0.2", 1, "b"))

    assert {priority for _, priority, _, _ in plain(found, View(zone), "prefer")} == {0}


def test_duplicate_address_is_one_endpoint_with_the_largest_weight() -> None:
    """The zone is that of the first key; an IPv4-mapped address counts as the same address."""
    found = members(("10.0.0.1", 1, "a"), ("::ffff:10.0.0.1", 5, "b"), ("10.0.0.1", 2, "c"))

    assert plain(found, zones="spread") == [("a/", 0, 5, ["10.0.0.1"])]


def test_empty_assignment_has_no_locality() -> None:
    """A locality without endpoints would mean something else."""
    assert plain([]) == []


def test_empty_assignment_for_java_has_an_unreachable_endpoint() -> None:
    """Java 1.76 and later continue to call the last endpoints of a set that became empty."""
    view = view_of(xds.Node(user_agent_name="gRPC Java"), "off")

    assert plain([], view) == [("/", 0, 1, ["127.0.0.1"])]
    assert plain(members(("10.0.0.1", 1, "")), view) == [("/", 0, 1, ["10.0.0.1"])]


def test_view_has_the_zone_of_the_client_only_with_zones_prefer() -> None:
    """Otherwise all clients share one encoded set."""
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
        ({"weight": 1.0}, (1, "", False), "weight 1.0 is not"),
        ({"weight": True}, (1, "", False), "weight True is not"),
        ({"weight": None}, (1, "", False), "weight None is not"),
        ({"draining": True, "zone": "a"}, (1, "a", True), ""),
        ({"draining": "yes"}, (1, "", False), "draining 'yes' is neither true nor false"),
        ({"zone": 1}, (1, "", False), "zone 1 is not a string"),
    ],
)
def test_invalid_attribute_is_ignored_and_its_problem_is_reported(
    metadata: Any, expected: tuple[int, str, bool], problem: str
) -> None:
    """The report names the value and what is allowed."""
    attributes, said = read_attributes(metadata, AttributeKeys())

    assert attributes == expected
    assert said.startswith(problem) if problem else not said


def test_attributes_are_read_from_other_members_when_configured() -> None:
    """Options name the members of the metadata."""
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
def test_address_is_sent_as_an_ip_literal(addr: str, expected: tuple[str, int]) -> None:
    """Clients refuse everything else."""
    place = read_place(addr)

    assert isinstance(place, Place)
    assert (place.ip, place.port) == expected


@pytest.mark.parametrize(
    "addr", ["10.0.0.1", "10.0.0.1:0", "10.0.0.1:65536", "[fe80::1%eth0]:80", "unix:/run/s", ":80"]
)
def test_address_that_other_machines_cannot_use_is_refused(addr: str) -> None:
    """Such addresses have no valid port, have a scope, or are unix sockets."""
    with pytest.raises(InvalidEndpointError):
        read_place(addr)


@pytest.mark.parametrize("addr", ["db.example:80", "localhost:80", "1.2.3:80", "01.2.3.4:80"])
def test_any_other_address_is_a_host_name(addr: str) -> None:
    """The DNS may not know it."""
    assert isinstance(read_place(addr), HostName)
