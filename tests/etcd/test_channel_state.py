"""Channels with a state subscription: dropped without a traceback, and not polled while in use."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import TypeAlias

import grpc
import pytest
from harness import Certificates, Etcd, wait_until

from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.errors import ConnectionFailedError
from etcdnaming.etcd import Client
from etcdnaming.etcd.members import DialledMembers
from etcdnaming.model import Endpoint
from etcdnaming.registration.registration import Registration
from etcdnaming.registration.status import RegistrationEvent

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


Channels: TypeAlias = "list[weakref.ref[grpc.Channel]]"


@pytest.fixture
def channels(monkeypatch: pytest.MonkeyPatch) -> Iterator[Channels]:
    """Return all channels that clients make in this test, which no garbage collector frees."""
    made: Channels = []
    make = DialledMembers._channel

    def noted(self: DialledMembers, *settings: object) -> grpc.Channel:
        channel = make(self, *settings)  # type: ignore[arg-type]
        made.append(weakref.ref(channel))
        return channel

    monkeypatch.setattr(DialledMembers, "_channel", noted)
    gc.disable()
    yield made
    gc.enable()


def test_kept_error_of_a_dial_keeps_no_channel(channels: Channels, dead: socket.socket) -> None:
    """The program may keep the error as long as it likes; gRPC would go on connecting."""
    endpoints = [f"127.0.0.1:{dead.getsockname()[1]}", "127.0.0.1:1"]
    with (
        Client(endpoints, dial_timeout=0.3) as client,
        pytest.raises(ConnectionFailedError) as error,
    ):
        EndpointManager(client, "svc").list()
    assert len(channels) == 2
    wait_until(lambda: not any(channel() for channel in channels))
    assert error.value.__traceback__


def test_lost_connection_is_dropped_although_its_errors_are_kept(
    channels: Channels, own_etcd: Callable[..., Etcd]
) -> None:
    """Errors of calls, of the watch and of the stream that keeps the lease alive are all alike."""
    etcd = own_etcd()
    events: list[RegistrationEvent] = []
    with Client([etcd.endpoint], dial_timeout=0.3) as client:
        registration = Registration(
            client, {"svc/a": Endpoint("1.1.1.1:1")}, on_state=events.append
        )
        registration.start()
        lost = channels[-1]
        etcd.kill()
        with pytest.raises(ConnectionFailedError) as error:
            EndpointManager(client, "svc").list()
        wait_until(lambda: not lost())
        registration.close(0)
    assert error.value.__traceback__


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
