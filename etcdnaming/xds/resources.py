"""
The resources of a name that are the same for every service: listener, route and cluster.

They are the least that every client takes. Go, Java and gRPC's C-core refuse a listener without the
router filter; Envoy, but no gRPC client, needs ``locality_weighted_lb_config``.
"""

from __future__ import annotations

from functools import lru_cache

from . import xds_pb2 as xds
from .names import Kind, sibling

__all__ = ["cluster_message", "listener_message", "packed", "resource"]

MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
    ".HttpConnectionManager"
)
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"

MAX_KEPT = 10_000
"""Resources kept encoded. Clients choose the names, so there has to be a bound."""

ADS = xds.ConfigSource(ads=xds.AggregatedConfigSource(), resource_api_version=xds.ConfigSource.V3)


def packed(kind: Kind, body: bytes) -> bytes:
    """Return a resource as responses carry it: in an ``Any``."""
    return xds.Any(type_url=kind.type_url, value=body).SerializeToString()


@lru_cache(maxsize=MAX_KEPT)
def resource(kind: Kind, name: str, retries: int = 0) -> bytes:
    """
    Return the listener, route or cluster *name*, encoded and packed.

    *retries*: how often a call that fails as UNAVAILABLE is sent again.
    """
    if kind is Kind.LISTENER:
        return packed(kind, _listener(name).SerializeToString())
    if kind is Kind.ROUTE:
        return packed(kind, _route(name, retries).SerializeToString())
    return packed(kind, cluster_message(name).SerializeToString())


def listener_message(name: str, manager: xds.HttpConnectionManager) -> xds.Listener:
    """Return the listener *name*; *manager* says which routes it has."""
    router = xds.HttpFilter(name="router", typed_config=xds.Any(type_url=ROUTER))
    manager.http_filters.append(router)
    api_listener = xds.Any(type_url=MANAGER, value=manager.SerializeToString())
    return xds.Listener(name=name, api_listener=xds.ApiListener(api_listener=api_listener))


def cluster_message(name: str) -> xds.Cluster:
    """Return the cluster *name*, whose endpoints are the assignment of the same name."""
    assignment = sibling(name, Kind.ASSIGNMENT)
    service_name = assignment if assignment != name else ""
    eds = xds.EdsClusterConfig(eds_config=ADS, service_name=service_name)
    weighted = xds.CommonLbConfig(locality_weighted_lb_config=xds.LocalityWeightedLbConfig())
    return xds.Cluster(
        name=name, type=xds.Cluster.EDS, eds_cluster_config=eds, common_lb_config=weighted
    )


def _listener(name: str) -> xds.Listener:
    rds = xds.Rds(config_source=ADS, route_config_name=sibling(name, Kind.ROUTE))
    return listener_message(name, xds.HttpConnectionManager(rds=rds))


def _route(name: str, retries: int) -> xds.RouteConfiguration:
    action = xds.RouteAction(cluster=sibling(name, Kind.CLUSTER))
    if retries:  # 0 would be refused
        number = xds.UInt32Value(value=retries)
        policy = xds.RetryPolicy(retry_on="unavailable", num_retries=number)
        action.retry_policy.CopyFrom(policy)
    route = xds.Route(match=xds.RouteMatch(prefix=""), route=action)
    host = xds.VirtualHost(name=name, domains=["*"], routes=[route])
    return xds.RouteConfiguration(name=name, virtual_hosts=[host])
