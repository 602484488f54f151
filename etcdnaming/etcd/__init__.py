"""The only room that speaks etcd's gRPC API. What the rest of the house may use is named here."""

from __future__ import annotations

from . import requests
from . import rpc_pb2 as rpc
from .client import Client
from .deadline import within
from .snapshot import Snapshot, read_snapshot
from .watch import Connected, Disconnected, Events, RangeWatch, Reading

__all__ = [
    "Client",
    "Connected",
    "Disconnected",
    "Events",
    "RangeWatch",
    "Reading",
    "Snapshot",
    "read_snapshot",
    "requests",
    "rpc",
    "within",
]
