"""The pages of ``lease-register --metrics``: /metrics for Prometheus, and /healthz."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from functools import partial

from ... import __version__
from ...monitoring.pages import Page, PageThread, text_page
from ...monitoring.prometheus import Families, Family, Metrics
from ...printable import printable
from .reporter import Status

__all__ = ["metrics_server"]

OURS = Families("etcdnaming_")


def metrics_server(sockets: Sequence[socket.socket], status: Status) -> PageThread:
    """
    Return the server of the pages about *status*, on *sockets*; it is not started.

    Raises:
        OSError: There are too many open files.
    """
    metrics = Metrics(partial(_collect, status))
    pages = {"/metrics": lambda _: metrics.page(), "/healthz": lambda _: _healthz(status)}
    return PageThread(pages, sockets)


def _healthz(status: Status) -> Page:
    fault = status.fault
    if fault:
        return text_page("503 Service Unavailable", printable(fault))
    return text_page("200 OK", "ok")


def _collect(status: Status) -> Iterator[Family]:
    yield OURS.gauges("build_info", "The version, as a label.", "version", {__version__: 1})
    yield from _of_endpoints(status)
    yield from _of_lease(status)
    if status.has_check:
        healthy = int(status.is_healthy)
        yield OURS.gauge("check_healthy", "Whether --check counts as passed (1) or not.", healthy)
        results = {"passed": status.checks["passed"], "failed": status.checks["failed"]}
        yield OURS.counters("check_runs", "Runs of --check, by result.", "result", results)
    running = int(status.is_command_running)
    yield OURS.gauge("command_running", "Whether CMD runs (1) or not.", running)


def _of_endpoints(status: Status) -> Iterator[Family]:
    registered, writes = status.states.registered, status.writes
    keys = {key: printable(key) for key in status.states.addrs}
    yield OURS.gauges(
        "endpoint_registered",
        "Whether the endpoint is in etcd, as far as known (1) or not, by key.",
        "key",
        {label: int(key in registered) for key, label in keys.items()},
    )
    yield OURS.counters(
        "endpoint_registrations",
        "Times that the endpoint was written to etcd, by key.",
        "key",
        {label: writes[key] for key, label in keys.items()},
    )


def _of_lease(status: Status) -> Iterator[Family]:
    ttl, renewed = status.registration.renewal or (0, 0.0)
    left = max(0.0, renewed + ttl - time.time()) if ttl else 0.0
    yield OURS.gauge("lease_ttl_seconds", "The granted TTL of the lease; 0 without one.", ttl)
    yield OURS.gauge(
        "lease_remaining_seconds", "Time until the lease expires if it is not renewed.", left
    )
    yield OURS.gauge(
        "lease_renewed_timestamp_seconds",
        "Unix time of the last keep-alive that etcd has confirmed; 0 without a lease.",
        renewed,
    )
    yield OURS.counter("lease_losses", "Times that the lease was lost.", status.losses)
    yield OURS.counter(
        "lease_recoveries", "Times that all was registered again after that.", status.recoveries
    )
