"""The listener with its route table, and the cluster, of services in this process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from .. import xds_pb2 as xds
from ..names import Kind
from ..resources import cluster_message, listener_message, packed

__all__ = ["MethodRoute", "Policy", "Retry", "cluster", "listener", "virtual_host"]

Policy: TypeAlias = Literal["round_robin", "pick_first"]
"""How calls are spread over the endpoints."""

PICK_FIRST = "type.googleapis.com/envoy.extensions.load_balancing_policies.pick_first.v3.PickFirst"


class Retry(NamedTuple):
    """
    Which failed calls are sent again.

    *codes* are Envoy's names of status codes; *attempts* includes the first one; the pauses, in
    seconds, grow from *first_pause* to *longest_pause*.
    """

    codes: tuple[str, ...]
    attempts: int
    first_pause: float
    longest_pause: float


class MethodRoute(NamedTuple):
    """
    What holds for the calls of one method, of a service (*method* is empty) or of all (both are).

    *timeout*: seconds; ``None``: no limit but the caller's.
    """

    service: str
    method: str
    timeout: float | None = None
    retry: Retry | None = None


def listener(name: str, hosts: Iterable[xds.VirtualHost]) -> bytes:
    """Return the listener *name* with the route table of *hosts*, packed."""
    table = xds.RouteConfiguration(name=name, virtual_hosts=hosts)
    message = listener_message(name, xds.HttpConnectionManager(route_config=table))
    return packed(Kind.LISTENER, message.SerializeToString())


def virtual_host(cluster_name: str, domain: str, routes: Iterable[MethodRoute]) -> xds.VirtualHost:
    """
    Return the host for calls with the authority *domain*, which go to *cluster_name*.

    *routes* are tried in their order; what none of them matches is called without limits.
    """
    every = [*routes, MethodRoute("", "")]
    found = [_route(cluster_name, each) for each in every]
    return xds.VirtualHost(name=cluster_name, domains=[domain], routes=found)


def cluster(name: str, policy: Policy) -> bytes:
    """Return the cluster *name*, packed."""
    message = cluster_message(name)
    if policy == "pick_first":
        config = xds.TypedExtensionConfig(name=policy, typed_config=xds.Any(type_url=PICK_FIRST))
        message.load_balancing_policy.policies.add(typed_extension_config=config)
    return packed(Kind.CLUSTER, message.SerializeToString())


def _route(cluster_name: str, route: MethodRoute) -> xds.Route:
    if route.method:
        match = xds.RouteMatch(path=f"/{route.service}/{route.method}")
    else:
        match = xds.RouteMatch(prefix=f"/{route.service}/" if route.service else "")
    action = xds.RouteAction(cluster=cluster_name)
    if route.timeout is not None:
        action.max_stream_duration.max_stream_duration.CopyFrom(_duration(route.timeout))
    if route.retry is not None:
        back_off = xds.RetryBackOff(
            base_interval=_duration(route.retry.first_pause),
            max_interval=_duration(route.retry.longest_pause),
        )
        action.retry_policy.CopyFrom(
            xds.RetryPolicy(
                retry_on=",".join(route.retry.codes),
                num_retries=xds.UInt32Value(value=route.retry.attempts - 1),
                retry_back_off=back_off,
            )
        )
    return xds.Route(match=match, route=action)


def _duration(seconds: float) -> xds.Duration:
    nanoseconds = round(seconds * 1e9)
    return xds.Duration(seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)
