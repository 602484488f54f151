"""How often gRPC wakes for nothing, and what must not wait for that."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from harness import Etcd, wait_until

from etcdnaming.etcd import Client, dial, idling, members
from etcdnaming.etcd.key_watch import KeyWatch


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has timers that may be late")
def test_who_dials_is_in_time(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so are gRPC's threads, which begin with the first channel: they inherit it."""
    threads = threading.active_count()
    slacks, dialled = [], []
    really = dial.dial

    def noting(*args: Any) -> Any:
        slacks.append(idling._prctl(idling.PR_GET_TIMERSLACK))  # noqa: SLF001
        dialled.append(really(*args))
        return dialled[-1]

    monkeypatch.setattr(idling, "_may_sleep", True)
    monkeypatch.setattr(members, "dial", noting)
    with Client([etcd.endpoint]) as client:
        watch = KeyWatch(client, lambda *_: None)
        watch.follow(b"svc/e1")
        wait_until(lambda: dialled)
        watch.close()
    # Not before may the channel be gone: gRPC still looks at its state.
    wait_until(lambda: threading.active_count() <= threads)
    assert 0 <= max(slacks) < 1e6
