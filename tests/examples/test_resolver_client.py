"""Run resolver_client.py."""

from __future__ import annotations

import sys
from collections.abc import Callable

from harness import Etcd
from harness.examples import EXAMPLES, KEYS, SERVER
from harness.ports import free_port
from harness.process import Process
from harness.watcher import stored


def test_resolver_client_follows_the_endpoints(etcd: Etcd, start: Callable[..., Process]) -> None:
    """It waits for the first one, and moves to the next when the first is replaced."""
    words = [sys.executable, str(EXAMPLES / "resolver_client.py"), KEYS.rstrip("/")]
    client = start(words, {"ETCDNAMING_ENDPOINTS": etcd.endpoint})
    ports = [str(free_port()) for _ in range(2)]
    for port in ports:
        start([sys.executable, str(SERVER), "--port", port], {})

    for port in ports:
        etcd.put(f"{KEYS}e1", stored(f"127.0.0.1:{port}"))
        client.wait_for_out(f":{port}\n", timeout=20)
    client.signal(2)
    assert client.finish() == (0, client.out, "")
