"""A client of an etcd that has much to do."""

from __future__ import annotations

import time

from etcdnaming.etcd import Client, rpc

__all__ = ["SlowClient"]


class SlowClient(Client):
    """Is answered after a *pause*, in seconds."""

    pause = 0.0

    def range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        """Read, but later."""
        time.sleep(self.pause)
        return super().range(request)
