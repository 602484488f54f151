"""
The only room that speaks etcd's gRPC API.

What every command needs is named here. Modules that read many keys or watch them import
`etcd.ranges` and `etcd.range_watch_loop`, so that the other commands don't wait for that.
"""

from __future__ import annotations

from . import rpc_pb2 as rpc
from .client import Client, addresses_of
from .deadline import within

__all__ = ["Client", "addresses_of", "rpc", "within"]
