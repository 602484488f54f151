"""The metrics of an etcd."""

from __future__ import annotations

from urllib.request import ProxyHandler, build_opener

from .etcd import Etcd

__all__ = ["metric"]


def metric(etcd: Etcd, name: str, method: str) -> float:
    """Return the value of the counter *name* of *etcd* for the gRPC *method*."""
    opener = build_opener(ProxyHandler({}))
    with opener.open(f"http://{etcd.endpoint}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith(f"{name}{{") and f'grpc_method="{method}"' in line
    )
