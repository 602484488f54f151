"""
Prometheus' series, by the library ``prometheus_client`` of the extra ``etcdnaming[metrics]``.

Imported by the first scrape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ..names import Kind
from .journal import kind_name

if TYPE_CHECKING:
    from .bridge import Bridge

__all__ = ["Metrics"]

PREFIX = "etcdnaming_xds_"


class Metrics:
    """What *bridge* counts, for Prometheus."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, bridge: Bridge) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(bridge))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return all series as they are now."""
        return generate_latest(self._registry)


class _Collector(Collector):
    """Asked anew for every scrape."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def collect(self) -> Iterator[Metric]:
        yield from self._of_streams()
        yield from self._of_endpoints()

    def _of_streams(self) -> Iterator[Metric]:
        hub, counters = self._bridge.hub, self._bridge.counters
        agents = Counter(session.stream.node.user_agent_name for session in hub.sessions)
        names = {
            kind_name(kind): sum(len(session.stream.names(kind)) for session in hub.sessions)
            for kind in Kind
        }
        yield _gauges("streams", "Open streams, by user agent.", "agent", agents)
        yield _gauges("subscriptions", "Names that streams ask for, by type.", "type", names)
        yield _counters("responses", "Responses written, by type.", "type", counters.responses)
        yield _counter("response_bytes", "Bytes of the responses.", counters.response_bytes)
        yield _counters("nacks", "Responses that clients refused.", "type", counters.nacks)
        yield _counter(
            "stale_requests", "Requests with an old nonce, ignored.", counters.stale_requests
        )
        yield _counter("resent", "Responses sent once more, to be sure.", counters.resent)
        yield _counters("refused", "Streams refused, by reason.", "reason", counters.refused)
        yield _gauge("queued_names", "Changed names not written yet.", hub.queued)
        yield HistogramMetricFamily(
            f"{PREFIX}change_seconds",
            "From etcd's event to the response.",
            buckets=counters.change_seconds.cumulative(),
            sum_value=counters.change_seconds.sum,
        )

    def _of_endpoints(self) -> Iterator[Metric]:
        catalog = self._bridge.catalog
        names, endpoints = catalog.count()
        yield _gauge("names", "Services with endpoints.", names)
        yield _gauge("endpoints", "Endpoints in etcd.", endpoints)
        yield _gauges("left_out", "Endpoints not served, by reason.", "reason", catalog.left_out())
        held = sum(follower.held for follower in catalog.followers)
        yield _gauge("held", "Endpoints served although a re-read did not find them.", held)
        yield _gauge("revision", "etcd's revision that is served.", catalog.revision)
        resyncs = sum(follower.resyncs for follower in catalog.followers)
        yield _counter("resyncs", "Times that etcd was read again.", resyncs)
        age = catalog.age()
        if age is not None:
            yield _gauge("etcd_age_seconds", "Seconds since etcd was last there.", age)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=[label])
    for each, value in values.items():
        family.add_metric([each], value)
    return family


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=[label])
    for each, value in values.items():
        family.add_metric([each], value)
    return family
