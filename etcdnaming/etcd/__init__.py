"""The only room that speaks etcd's gRPC API. What the rest of the house may use is named here."""

from __future__ import annotations

from . import requests, rpc_pb2 as rpc
from .client import Client
from .deadline import within
from .snapshot import Snapshot, read_snapshot

__all__ = ["Client", "Snapshot", "read_snapshot", "requests", "rpc", "within"]
