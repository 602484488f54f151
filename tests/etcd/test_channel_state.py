"""Channels with a state subscription: dropped without a traceback, and not polled while in use."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from harness import Certificates, Etcd, wait_until

from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.etcd import Client

DIALS = 80

# Busy threads delay those of gRPC, as a busy machine does. The second endpoint accepts connections
# and never answers.
DIAL_WHILE_BUSY = f"""
import itertools, os, socket, threading
from etcdnaming import Client, EndpointManager
from etcdnaming.errors import ConnectionFailedError

silent = socket.create_server(("127.0.0.1", 0), backlog=1000)
endpoints = ["127.0.0.1:1", "127.0.0.1:%d" % silent.getsockname()[1]]
dials, done = itertools.count(1), threading.Event()

def compute():
    while True:
        sum(range(1000))

def dial():
    while True:
        try:
            EndpointManager(Client(endpoints, dial_timeout=0.3), "svc").list()
        except ConnectionFailedError:
            if next(dials) >= {DIALS}:
                done.set()

for work in [compute] * 4 + [dial] * 8:
    threading.Thread(target=work, daemon=True).start()
done.wait()
os._exit(0)
"""


def test_dial_prints_no_traceback_when_the_cpu_is_busy() -> None:
    """gRPC's thread may run after the subscription has ended."""
    done = subprocess.run(
        [sys.executable, "-c", DIAL_WHILE_BUSY], capture_output=True, check=True, text=True
    )
    assert done.stderr == ""


@pytest.mark.server
def test_tls_client_has_no_background_thread_when_idle(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """With a subscription, gRPC would poll the connection five times a second."""
    etcd = secure_etcd()
    before = threading.active_count()
    with Client([etcd.endpoint], cacert=str(certificates.ca)) as client:
        assert EndpointManager(client, "svc").list().endpoints == []
        wait_until(lambda: threading.active_count() <= before)
