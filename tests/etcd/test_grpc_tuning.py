"""How often gRPC wakes for nothing, and what must not wait for that."""

from __future__ import annotations

import sys
import threading
from typing import Any

import grpc
import pytest
from harness import Etcd, wait_until

from etcdnaming.etcd import Client, dial, grpc_tuning, members
from etcdnaming.etcd.key_watch import KeyWatch


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has timers that may be late")
def test_who_dials_is_in_time(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so are gRPC's threads, which begin with the first channel: they inherit it."""
    threads = threading.active_count()
    slacks, dialled = [], []
    really = dial.dial

    def noting(*args: Any) -> Any:
        slacks.append(grpc_tuning._prctl(grpc_tuning.PR_GET_TIMERSLACK))  # noqa: SLF001
        dialled.append(really(*args))
        return dialled[-1]

    monkeypatch.setattr(grpc_tuning, "_may_sleep", True)
    monkeypatch.setattr(members, "dial", noting)
    with Client([etcd.endpoint]) as client:
        watch = KeyWatch(client, lambda *_: None)
        watch.follow(b"svc/e1")
        wait_until(lambda: dialled)
        watch.close()
    # Not before may the channel be gone: gRPC still looks at its state.
    wait_until(lambda: threading.active_count() <= threads)
    assert 0 <= max(slacks) < 1e6


def test_grpc_still_has_the_private_parts_that_are_used() -> None:
    """Without them everything works, but slower or with more threads: that must be noticed."""
    assert hasattr(grpc._common, "MAXIMUM_WAIT_TIMEOUT")  # noqa: SLF001
    assert grpc_tuning.single_threaded_streams()
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        assert not grpc_tuning.is_connected(channel)
        assert not grpc_tuning.is_polled(channel)
