"""Calls of etcd that fail: how often they are made again."""

from __future__ import annotations

import random
import time
from typing import NoReturn

import grpc
import pytest
from harness import TIMEOUT, Etcd
from harness.relay import Relay

from etcdnaming import EndpointManager
from etcdnaming.errors import ConnectionFailedError
from etcdnaming.etcd import Client
from etcdnaming.etcd.deadline import Deadline


class Broken(Relay):
    """A proxy that answers every call with an internal error, and counts the calls."""

    calls = 0

    def call(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Fail."""
        self.calls += 1
        context.abort(grpc.StatusCode.INTERNAL, "broken")


def test_read_pauses_longer_after_each_failure_and_ends_in_time(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without longer pauses it would be sent about forty times."""
    longest = []

    def uniform(low: float, high: float) -> float:
        longest.append(high)
        return low + random.random() * (high - low)

    monkeypatch.setattr(random, "uniform", uniform)
    proxy = Broken(etcd.endpoint)
    with (
        proxy,
        Client([proxy.endpoint], dial_timeout=1, command_timeout=3) as client,
    ):
        start = time.monotonic()
        with pytest.raises(ConnectionFailedError, match="connection lost: broken"):
            EndpointManager(client, "svc").list()
        assert 3 < time.monotonic() - start < 10
        assert 3 < proxy.calls < 22
        assert longest[:5] == [0.2, 0.4, 0.8, 1.0, 1.0]


def test_member_is_left_when_no_thread_can_be_started_for_its_stream(client: Client) -> None:
    """Its channel would deliver nothing to any later stream."""

    def start() -> NoReturn:
        raise RuntimeError("can't start new thread")

    before = client._caller._current(Deadline(TIMEOUT))
    with pytest.raises(ConnectionFailedError, match="thread"):
        client._caller._start_stream(before, start)
    assert client._caller._current(Deadline(TIMEOUT)) is not before
