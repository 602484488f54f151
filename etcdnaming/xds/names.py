"""
Names of xDS resources: one target has the same name in all four types.

A name is the target itself, ``foo/bar/svc``, or an xdstp URL, which also carries an authority and
the type: ``xdstp://AUTHORITY/envoy.config.listener.v3.Listener/foo/bar/svc``.
"""

from __future__ import annotations

import enum
from urllib.parse import unquote

__all__ = ["Kind", "sibling", "target_of"]

XDSTP = "xdstp://"


class Kind(enum.Enum):
    """A type of resource. The value is its name in xdstp URLs."""

    LISTENER = "envoy.config.listener.v3.Listener"
    ROUTE = "envoy.config.route.v3.RouteConfiguration"
    CLUSTER = "envoy.config.cluster.v3.Cluster"
    ASSIGNMENT = "envoy.config.endpoint.v3.ClusterLoadAssignment"

    @property
    def type_url(self) -> str:
        """The type in requests, responses and ``Any`` messages."""
        return f"type.googleapis.com/{self.value}"


def target_of(name: str) -> str:
    """
    Return the target that the resource *name* stands for; empty if it stands for none.

    >>> target_of("foo/svc"), target_of("xdstp://etcd/envoy.config.cluster.v3.Cluster/foo/s%20v")
    ('foo/svc', 'foo/s v')
    """
    if not name.startswith(XDSTP):
        return name
    path = name.removeprefix(XDSTP).partition("?")[0]
    parts = path.split("/", 2)
    return unquote(parts[2]) if len(parts) == 3 else ""


def sibling(name: str, kind: Kind) -> str:
    """
    Return the name of the resource of *kind* that belongs to the resource *name*.

    >>> sibling("foo/svc", Kind.CLUSTER)
    'foo/svc'
    >>> sibling("xdstp://etcd/envoy.config.listener.v3.Listener/foo/svc", Kind.CLUSTER)
    'xdstp://etcd/envoy.config.cluster.v3.Cluster/foo/svc'
    """
    if not name.startswith(XDSTP):
        return name
    authority, _, rest = name.removeprefix(XDSTP).partition("/")
    _, _, path = rest.partition("/")
    return f"{XDSTP}{authority}/{kind.value}/{path}"
