"""Any number of endpoints, with metadata like those of real services."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from etcdnaming import Client, Endpoint, EndpointManager, Update
from etcdnaming.model import JSON
from etcdnaming.wire import dumps

__all__ = ["TARGET", "fill", "update_lines", "updates"]

TARGET = "svc"

BATCH = 128
"""As many as etcd takes in one transaction."""


def fill(endpoint: str, count: int) -> None:
    """Store *count* endpoints in the etcd at *endpoint*."""
    remaining = updates(count)
    with Client([endpoint]) as client:
        manager = EndpointManager(client, TARGET)
        while batch := list(islice(remaining, BATCH)):
            manager.update(batch)


def updates(count: int) -> Iterator[Update]:
    """Yield the updates that add *count* endpoints."""
    for n in range(count):
        address = f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}:8080"
        metadata: JSON = {"zone": f"eu-{n % 3}", "weight": n % 100, "version": "1.27.3"}
        yield Update.add(f"{TARGET}/{address}", Endpoint(address, metadata))


def update_lines(count: int) -> Iterator[str]:
    """Yield the lines of an update file that adds *count* endpoints."""
    for each in updates(count):
        if each.endpoint:
            yield f"add {each.key} {each.endpoint.addr} {dumps(each.endpoint.metadata)}\n"
