"""
Prometheus' series, by the library ``prometheus_client`` of the extra ``etcdnaming[metrics]``.

Imported where metrics are served: the library takes a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from .pages import Page

__all__ = ["Families", "Family", "Metrics"]

Family: TypeAlias = Metric
"""The series of one name."""


class Metrics:
    """The series that *collect* yields at each scrape, and those of this process."""

    def __init__(self, collect: Callable[[], Iterable[Family]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(collect))
        ProcessCollector(registry=self._registry)

    def page(self) -> Page:
        """Return all series as they are now."""
        return Page("200 OK", CONTENT_TYPE_LATEST, generate_latest(self._registry))


class _Collector(Collector):
    def __init__(self, collect: Callable[[], Iterable[Family]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Family]:
        yield from self._collect()


class Families:
    """Makes the metrics of one command, whose names begin with *prefix*."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def gauge(self, name: str, text: str, value: float) -> Family:
        """Return a gauge without labels."""
        return GaugeMetricFamily(self._prefix + name, text, value=value)

    def counter(self, name: str, text: str, value: float) -> Family:
        """Return a counter without labels; ``_total`` is added to its name."""
        return CounterMetricFamily(self._prefix + name, text, value=value)

    def gauges(self, name: str, text: str, label: str, values: Mapping[str, float]) -> Family:
        """Return a gauge for each value of *label*."""
        return _filled(GaugeMetricFamily(self._prefix + name, text, labels=[label]), values)

    def counters(self, name: str, text: str, label: str, values: Mapping[str, float]) -> Family:
        """Return a counter for each value of *label*."""
        return _filled(CounterMetricFamily(self._prefix + name, text, labels=[label]), values)

    def histogram(
        self, name: str, text: str, buckets: Sequence[tuple[str, float]], total: float
    ) -> Family:
        """Return a histogram; *buckets* are cumulative, *total* is the sum of the values."""
        return HistogramMetricFamily(self._prefix + name, text, buckets=buckets, sum_value=total)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, float]
) -> GaugeMetricFamily | CounterMetricFamily:
    for each, value in values.items():
        family.add_metric([each], value)
    return family
