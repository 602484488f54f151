"""The services of this process; imported by the first channel."""

from __future__ import annotations

import weakref
from typing import Any

from ...etcd import Client
from .bootstrap import options
from .resources import MethodRoute, Policy
from .services import Service, ServiceKey, Services

__all__ = ["follow", "services"]

services = Services()
"""There is one server in a process: gRPC has one xDS bootstrap."""


def follow(
    client: Client,
    target: str,
    hold: float,
    policy: Policy,
    routes: tuple[MethodRoute, ...],
    authority: str,
) -> tuple[Service, str, list[tuple[str, Any]]]:
    """
    Return the service, the target of a channel to it, and the options that the channel needs.

    Raises:
        As `Services.dial`.
    """
    key = ServiceKey(weakref.ref(client), target, hold, policy, routes, authority)
    service, uri, server = services.dial(key)
    return service, uri, options(server)
