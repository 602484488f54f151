"""What the bridge counts, as Prometheus' series. Imported by the first scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...monitoring.prometheus import Families, Family
from ..names import Kind
from .journal import kind_name

if TYPE_CHECKING:
    from .bridge import Bridge

__all__ = ["collect"]

XDS = Families("etcdnaming_xds_")


def collect(bridge: Bridge) -> Iterator[Family]:
    """Yield what *bridge* has counted until now."""
    yield from _of_streams(bridge)
    yield from _of_endpoints(bridge)


def _of_streams(bridge: Bridge) -> Iterator[Family]:
    hub, counters = bridge.hub, bridge.counters
    agents = Counter(session.stream.node.user_agent_name for session in hub.sessions)
    names = {
        kind_name(kind): sum(len(session.stream.names(kind)) for session in hub.sessions)
        for kind in Kind
    }
    yield XDS.gauges("streams", "Open streams, by user agent.", "agent", agents)
    yield XDS.gauges("subscriptions", "Names that streams ask for, by type.", "type", names)
    yield XDS.counters("responses", "Responses written, by type.", "type", counters.responses)
    yield XDS.counter("response_bytes", "Bytes of the responses.", counters.response_bytes)
    yield XDS.counters("nacks", "Responses that clients refused.", "type", counters.nacks)
    yield XDS.counter(
        "stale_requests", "Requests with an old nonce, ignored.", counters.stale_requests
    )
    yield XDS.counter("resent", "Responses sent once more, to be sure.", counters.resent)
    yield XDS.counters("refused", "Streams refused, by reason.", "reason", counters.refused)
    yield XDS.gauge("queued_names", "Changed names not written yet.", hub.queued)
    yield XDS.histogram(
        "change_seconds",
        "From etcd's event to the response.",
        counters.change_seconds.cumulative(),
        counters.change_seconds.sum,
    )


def _of_endpoints(bridge: Bridge) -> Iterator[Family]:
    catalog = bridge.catalog
    names, endpoints = catalog.count()
    yield XDS.gauge("names", "Services with endpoints.", names)
    yield XDS.gauge("endpoints", "Endpoints in etcd.", endpoints)
    yield XDS.gauges("left_out", "Endpoints not served, by reason.", "reason", catalog.left_out())
    held = sum(follower.held for follower in catalog.followers)
    yield XDS.gauge("held", "Endpoints served although a re-read did not find them.", held)
    yield XDS.gauge("revision", "etcd's revision that is served.", catalog.revision)
    resyncs = sum(follower.resyncs for follower in catalog.followers)
    yield XDS.counter("resyncs", "Times that etcd was read again.", resyncs)
    age = catalog.age()
    if age is not None:
        yield XDS.gauge("etcd_age_seconds", "Seconds since etcd was last there.", age)
