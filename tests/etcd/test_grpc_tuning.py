"""Fewer wake-ups of idle gRPC threads, without late timers for the threads that dial."""

from __future__ import annotations

import sys
import threading
from typing import Any

import grpc
import pytest
from harness import Etcd, wait_until

from etcdnaming.etcd import Client, grpc_tuning, members
from etcdnaming.etcd.key_watch import KeyWatch


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has timers that may be late")
def test_dial_thread_keeps_the_default_timer_slack(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC's threads start with the first channel and inherit the timer slack of that thread."""
    threads = threading.active_count()
    slacks, dialled = [], []
    really = members.dial

    def noting(*args: Any) -> Any:
        slacks.append(grpc_tuning._prctl(grpc_tuning.PR_GET_TIMERSLACK))
        dialled.append(really(*args))
        return dialled[-1]

    monkeypatch.setattr(grpc_tuning, "_may_sleep", True)
    monkeypatch.setattr(members, "dial", noting)
    with Client([etcd.endpoint]) as client:
        watch = KeyWatch(client, lambda *_: None)
        watch.follow(b"svc/e1")
        wait_until(lambda: dialled)
        watch.close()
    # The test ends only after the channel is gone, because gRPC still checks the channel's state.
    wait_until(lambda: threading.active_count() <= threads)
    assert 0 <= max(slacks) < 1e6


def test_grpc_has_the_private_attributes_that_tuning_uses() -> None:
    """Without them calls still work, but slower or with more threads, so a test must detect it."""
    assert hasattr(grpc._common, "MAXIMUM_WAIT_TIMEOUT")
    assert grpc_tuning.single_threaded_streams()
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        assert not grpc_tuning.is_connected(channel)
        assert not grpc_tuning.is_polled(channel)
