"""JSON that is nested deeper than Python's stack, as a value of etcd may be."""

from __future__ import annotations

from etcdnaming.model import JSON

__all__ = ["nested"]


def nested(depth: int) -> JSON:
    """Return arrays in arrays, *depth* of them."""
    value: JSON = []
    for _ in range(depth - 1):
        value = [value]
    return value
