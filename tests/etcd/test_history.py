"""Whether etcd is still the one we know, however long it takes to say so."""

from __future__ import annotations

import time

import pytest
from harness import Etcd

from etcdnaming.etcd import Client, history, rpc


class Slow(Client):
    """A client of a busy etcd, which answers after a *pause*."""

    pause = 0.0

    def range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        """Read, but later."""
        time.sleep(self.pause)
        return super().range(request)


def test_a_large_range_may_take_longer_than_other_calls(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch that could never prove what it knows would leave every stream again, for ever."""
    monkeypatch.setattr(history, "PACE", 5_000)
    etcd.put_all({b"svc/%05d" % n: b"x" for n in range(40_000)})
    client = Slow([etcd.endpoint], dial_timeout=2, command_timeout=2)
    with client:
        known = history.History(client, b"svc/", b"svc0")
        known.read()
        client.pause = 1.5  # for each of three pages
        known.check()
    etcd.empty()
