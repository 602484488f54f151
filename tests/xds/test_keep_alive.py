"""Peers that are dead or frozen are noticed by pings, from both sides."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, PingAckReceived, PingReceived
from harness import wait_until
from harness.backends import Backend, Backends
from harness.waiting import TIMEOUT
from harness.xds import Bridge as BridgeProcess
from harness.xds import Caller, Language, Xds

from etcdnaming import Client
from etcdnaming.listening import parse_listen_address
from etcdnaming.xds import xds_pb2 as xds
from etcdnaming.xds.bridge.bridge import Bridge, BridgeSettings
from etcdnaming.xds.bridge.server import STREAM, Limits
from etcdnaming.xds.names import Kind

from .conftest import Service

TARGET = "xds:///foo/svc"

LATE = 60.0
"""Seconds in which clients start, or are back, on a busy machine."""

pytestmark = pytest.mark.timeout(180)


class RawClient:
    """
    An ADS stream on a connection of HTTP/2 that does nothing by itself.

    Pings are answered while a test waits for an event, and not otherwise.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.settimeout(TIMEOUT)
        self._connection = H2Connection(H2Configuration(client_side=True))
        self._events: list[Event] = []
        self._connection.initiate_connection()
        headers = [(":method", "POST"), (":scheme", "http"), (":path", STREAM)]
        headers += [(":authority", "test"), ("content-type", "application/grpc")]
        self._connection.send_headers(1, [*headers, ("te", "trailers")])
        request = xds.DiscoveryRequest(
            type_url=Kind.LISTENER.type_url, resource_names=["foo/svc"]
        ).SerializeToString()
        self._connection.send_data(1, b"\0" + len(request).to_bytes(4, "big") + request)
        self._flush()
        self.wait_for(DataReceived)

    def wait_for(self, kind: type[Event]) -> Event:
        """Return the next event of this kind."""
        while True:
            for number, event in enumerate(self._events):
                if isinstance(event, kind):
                    del self._events[: number + 1]
                    return event
            self._events = []
            for byte in self._read():
                self._events += self._connection.receive_data(bytes([byte]))
                if any(isinstance(event, ConnectionTerminated) for event in self._events):
                    break  # gRPC ends the streams after that, which h2 takes for an error
            self._flush()

    def ping(self) -> None:
        """Send a ping."""
        self._connection.ping(b"12345678")
        self._flush()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _read(self) -> bytes:
        data = self._socket.recv(65536)
        assert data, "the server has closed the connection"
        return data

    def _flush(self) -> None:
        # What the server has sent before it closed the connection can still be read.
        with suppress(ConnectionError):
            self._socket.sendall(self._connection.data_to_send())


@contextmanager
def running(client: Client, limits: Limits) -> Iterator[tuple[Bridge, int]]:
    """Run a bridge in a thread of this process, and yield it and its port."""
    ready = threading.Event()
    found: list[tuple[Bridge, int]] = []
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop, hurry = asyncio.Event(), asyncio.Event()
        hurry.set()
        ends.append((asyncio.get_running_loop(), stop))
        listen = [parse_listen_address("127.0.0.1:0")]
        settings = BridgeSettings(listen=listen, limits=limits)

        def note(notice: object) -> None:
            fields = getattr(notice, "fields", {})
            if "addresses" in fields:
                found.append((bridge, int(fields["addresses"][0].rpartition(":")[2])))
                ready.set()

        bridge = Bridge(client, ["foo"], settings, note)
        await bridge.run(stop, hurry)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert ready.wait(TIMEOUT)
        yield found[0]
    finally:
        loop, stop = ends[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(TIMEOUT)


def test_client_that_answers_no_pings_is_gone(client: Client) -> None:
    """One that answers them stays."""
    with (
        running(client, Limits(ping_after=1, ping_timeout=1)) as (bridge, port),
        closing(RawClient(port)) as answers,
    ):
        with closing(RawClient(port)):
            assert len(bridge.hub.sessions) == 2
            while len(bridge.hub.sessions) == 2:
                answers.wait_for(PingReceived)
        assert len(bridge.hub.sessions) == 1
        answers.wait_for(PingReceived)
        assert len(bridge.hub.sessions) == 1


def test_client_that_pings_too_often_is_sent_away(xds: Xds) -> None:
    """No other one is."""
    bridge = xds.bridge("foo")
    other = xds.ads(bridge.address)
    other.ask(Kind.LISTENER, "foo/svc")
    other.get()
    with closing(RawClient(bridge.port)) as client:
        for _ in range(10):
            client.ping()
        ended = client.wait_for(ConnectionTerminated)

    assert isinstance(ended, ConnectionTerminated)
    assert ended.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    assert ended.additional_data == b"too_many_pings"
    other.ask(Kind.CLUSTER, "foo/svc")
    assert other.get().type_url == Kind.CLUSTER.type_url


@pytest.mark.long
def test_clients_may_ping_every_five_seconds(xds: Xds) -> None:
    """As often as they like to know that the bridge is there."""
    bridge = xds.bridge("foo")
    pause = threading.Event()
    with closing(RawClient(bridge.port)) as client:
        for _ in range(5):
            pause.wait(5.2)
            client.ping()
            client.wait_for(PingAckReceived)
        assert len(bridge.json("/streams")["streams"]) == 1


@pytest.fixture
def calling(
    xds: Xds, language: Language, service: Service, backends: Backends
) -> tuple[BridgeProcess, Caller, Backend]:
    """Return a bridge and a client of it, which calls the one endpoint of the service."""
    backend = backends()
    service.add(backend)
    bridge = xds.bridge("foo")
    caller = xds.call(language, bridge.address, TARGET)
    caller.wait_for(backend.addr, timeout=LATE)
    return bridge, caller, backend


@pytest.mark.long
def test_frozen_client_is_gone_and_comes_back(
    calling: tuple[BridgeProcess, Caller, Backend], service: Service, backends: Backends
) -> None:
    """After 40 s, with the pings of a bridge as it is used."""
    (bridge, caller, first), second = calling, backends()
    caller.signal(signal.SIGSTOP)
    wait_until(lambda: not bridge.json("/streams")["streams"], 120)
    service.add(second)
    caller.signal(signal.SIGCONT)
    caller.wait_for(first.addr, second.addr, timeout=LATE)


def test_frozen_bridge_costs_no_call(
    calling: tuple[BridgeProcess, Caller, Backend], service: Service, backends: Backends
) -> None:
    """What changes meanwhile is followed when it runs again."""
    (bridge, caller, first), second = calling, backends()
    bridge.process.signal(signal.SIGSTOP)
    service.add(second)
    service.remove(first)
    caller.wait_for_calls(50)
    assert caller.still_works(first.addr)
    bridge.process.signal(signal.SIGCONT)
    caller.wait_for(second.addr, timeout=LATE)
    assert caller.errors == []
