"""A client whose reads are slow, as with an overloaded etcd."""

from __future__ import annotations

import time

from etcdnaming.etcd import Client, rpc

__all__ = ["SlowClient"]


class SlowClient(Client):
    """A client that waits *pause* seconds before each read."""

    pause = 0.0

    def _range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        """Read after the pause."""
        time.sleep(self.pause)
        return super()._range(request)
