"""
The endpoints of a service as a ClusterLoadAssignment that every client takes.

One value that a client refuses spoils the whole set, and each client refuses others: a duplicate
address, a weight of 0, weights that add up to more than 32 bits. So none of these is ever sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from . import xds_pb2 as xds
from .places import Place

__all__ = ["Member", "View", "Zones", "assignment", "view_of"]

Zones: TypeAlias = Literal["off", "spread", "prefer"]
"""What zones do: nothing; one locality each; the client's own zone comes first."""

MAX_SUM = 2**31
"""Clients refuse weights of a priority that add up to more than 2^32-1; this leaves a margin."""

TOMBSTONE = Place("127.0.0.1", 1)
"""
What an empty set is for gRPC Java. From 1.76.0 on it ignores an empty set, and goes on calling the
endpoints it had. An endpoint that refuses connections has the effect an empty set should have.
"""


class Member(NamedTuple):
    """An endpoint in a set."""

    place: Place
    weight: int
    zone: str


class View(NamedTuple):
    """
    What makes the set of one client differ from that of another.

    *zone* is the client's own, where that matters. *tombstone*: an empty set has a `TOMBSTONE`.
    """

    zone: str = ""
    tombstone: bool = False


def view_of(node: xds.Node, zones: Zones) -> View:
    """Return what the client *node* sees."""
    zone = node.locality.zone if zones == "prefer" else ""
    return View(zone, tombstone=node.user_agent_name == "gRPC Java")


def assignment(name: str, members: Iterable[Member], view: View, zones: Zones) -> bytes:
    """Return the ClusterLoadAssignment *name*. Earlier ones of *members* win over duplicates."""
    unique = _unique(members)
    if not unique and view.tombstone:
        unique = [Member(TOMBSTONE, 1, "")]
    groups: dict[tuple[int, str, int], list[Place]] = {}
    for place, weight, zone in unique:
        zone = "" if zones == "off" else zone  # noqa: PLW2901 - the zone that counts
        priority = int(bool(view.zone) and zone != view.zone)
        groups.setdefault((priority, zone, weight), []).append(place)
    message = xds.ClusterLoadAssignment(cluster_name=name)
    message.endpoints.extend(_localities(groups))
    return message.SerializeToString()


def _unique(members: Iterable[Member]) -> list[Member]:
    """Return *members* with each address once: with the larger weight, and the first zone."""
    found: dict[tuple[str, int], Member] = {}
    for member in members:
        address = member.place.address
        known = found.setdefault(address, member)
        if member.weight > known.weight:
            found[address] = known._replace(weight=member.weight)
    return [*found.values()]


def _localities(groups: dict[tuple[int, str, int], list[Place]]) -> Iterable[bytes]:
    """
    Yield a locality for each zone and weight.

    gRPC's round_robin ignores the weights of endpoints, but not those of localities.
    """
    divisors = _divisors(groups)
    priorities = sorted({priority for priority, _, _ in groups})
    weights = {weight for _, _, weight in groups}
    for (priority, zone, weight), places in sorted(groups.items(), key=lambda item: item[0]):
        locality = xds.Locality(zone=zone)
        if len(weights) > 1:
            locality.sub_zone = f"weight-{weight}"
        sent = max(1, weight // divisors[priority])
        message = xds.LocalityLbEndpoints(
            locality=locality,
            lb_endpoints=[place.encoded(sent) for place in places],
            load_balancing_weight=xds.UInt32Value(value=sent * len(places)),
            priority=priorities.index(priority),  # they have to begin with 0
        )
        yield message.SerializeToString()


def _divisors(groups: dict[tuple[int, str, int], list[Place]]) -> dict[int, int]:
    """Return what the weights of each priority have to be divided by to fit."""
    sums: dict[int, int] = {}
    for (priority, _, weight), places in groups.items():
        sums[priority] = sums.get(priority, 0) + weight * len(places)
    return {priority: -(-total // MAX_SUM) for priority, total in sums.items()}
