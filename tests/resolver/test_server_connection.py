"""What the server in the process does with a connection, byte by byte, beside those of gRPC."""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event
from harness import TIMEOUT, Etcd, wait_until
from harness.counting import WHO, CountingServers
from harness.watcher import stored

from etcdnaming import Client, insecure_channel
from etcdnaming.resolver.channel import Channel
from etcdnaming.xds import xds_pb2 as xds
from etcdnaming.xds.embedded import connection as embedded
from etcdnaming.xds.embedded import process
from etcdnaming.xds.embedded.connection import PREFIX
from etcdnaming.xds.embedded.connection import Connection as ServerConnection
from etcdnaming.xds.names import Kind

STREAM = 1
HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"),
    (":authority", "xds"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]


class Connection:
    """A connection to the server in this process, with one stream."""

    def __init__(self) -> None:
        server = process.services._server
        assert server
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(server.uri.removeprefix("unix:"))
        self._http = H2Connection(H2Configuration(header_encoding=None))
        self._http.initiate_connection()
        self._http.send_headers(STREAM, HEADERS)
        self._data = b""

    def close(self) -> None:
        """End the connection."""
        self.socket.close()

    def send(self, kind: Kind, *names: str, nonce: str = "") -> None:
        """Ask for *names* as gRPC's C-core does; with *nonce*, accept that answer, too."""
        request = xds.DiscoveryRequest(
            type_url=kind.type_url, resource_names=names, response_nonce=nonce
        )
        request.node.user_agent_name = "gRPC C-core linux"
        message = request.SerializeToString()
        self._http.send_data(STREAM, b"\0" + len(message).to_bytes(4, "big") + message)
        self.socket.sendall(self._http.data_to_send())

    def receive(self) -> xds.DiscoveryResponse:
        """Return the next answer; fail if the server sends none."""
        while (answer := self._message()) is None:
            for event in self._events():
                if isinstance(event, DataReceived):
                    self._data += event.data
        return answer

    def acknowledge(self, kind: Kind, name: str, answer: xds.DiscoveryResponse) -> None:
        """Acknowledge *answer* and a few that follow; fail when none follows for a while."""
        self.socket.settimeout(0.5)
        for _ in range(5):
            self.send(kind, name, nonce=answer.nonce)
            answer = self.receive()

    def is_ended(self) -> bool:
        """Read until the server closes the connection; fail if it does not."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    def _events(self) -> list[Event]:
        data = self.socket.recv(65536)
        assert data, "the connection has ended"
        events = self._http.receive_data(data)
        self.socket.sendall(self._http.data_to_send())
        return events

    def _message(self) -> xds.DiscoveryResponse | None:
        end = 5 + int.from_bytes(self._data[1:5], "big")
        if len(self._data) < max(end, 5):
            return None
        message, self._data = self._data[5:end], self._data[end:]
        return xds.DiscoveryResponse.FromString(message)


@pytest.fixture
def channel(client: Client, etcd: Etcd, servers: CountingServers) -> Iterator[Channel]:
    """Return a channel to a service with one server, which was called."""
    (addr,) = servers.start()
    etcd.put("svc/1", stored(addr))
    with insecure_channel("svc", client) as channel:
        assert ask(channel) == addr
        yield channel


@pytest.fixture
def connection(channel: Channel) -> Iterator[Connection]:
    """Return a connection of our own to the server of *channel*."""
    with closing(Connection()) as connection:
        yield connection


def ask(channel: Channel) -> str:
    """Return the address of the server that answers."""
    call: Any = channel.unary_unary(WHO)
    answer: bytes = call(b"", timeout=TIMEOUT)
    return answer.decode()


@pytest.mark.parametrize("kind", [Kind.LISTENER, Kind.CLUSTER, Kind.ASSIGNMENT])
def test_everything_is_sent_once_more_when_an_acknowledgement_may_hide_a_request(
    channel: Channel, connection: Connection, kind: Kind
) -> None:
    """
    "Unsubscribe X, subscribe X" of gRPC's core looks like an acknowledgement.

    It then waits for an answer that nothing asks for. Once more is enough: what follows is quiet.
    """
    server = process.services._server
    assert server
    server.call_later(2 * TIMEOUT, lambda: None)  # nothing waits for a later timer
    service = channel._service
    name = {
        Kind.LISTENER: service.slot.listener,
        Kind.CLUSTER: service.cluster,
        Kind.ASSIGNMENT: service.assignment,
    }[kind]
    connection.send(kind, name)
    first = connection.receive()
    connection.send(kind, name, nonce=first.nonce)
    again = connection.receive()
    assert (again.type_url, list(again.resources)) == (kind.type_url, list(first.resources))
    assert again.nonce != first.nonce

    # If the first acknowledgement was late, on a busy machine, one more answer follows.
    with pytest.raises(TimeoutError):
        connection.acknowledge(kind, name, again)


def test_answer_larger_than_the_window_is_sent_when_there_is_room() -> None:
    """GRPC lets the first 64 KiB in, and more as it reads them."""
    server, client = ServerConnection(), H2Connection(H2Configuration(header_encoding=None))
    client.initiate_connection()
    client.send_headers(STREAM, HEADERS)
    assert [*server.receive(client.data_to_send())] == []
    message, received = b"x" * 200_000, bytearray()

    server.send(STREAM, message)
    assert not server.is_sent(STREAM)
    while data := server.to_send():
        for event in client.receive_data(data):
            if isinstance(event, DataReceived):
                received += event.data
                client.acknowledge_received_data(event.flow_controlled_length, STREAM)
        assert [*server.receive(client.data_to_send())] == []

    assert server.is_sent(STREAM)
    assert received == PREFIX.pack(0, len(message)) + message


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100])
def test_connection_that_sends_garbage_is_closed_and_the_others_go_on(
    channel: Channel,
    connection: Connection,
    etcd: Etcd,
    servers: CountingServers,
    caplog: pytest.LogCaptureFixture,
    garbage: bytes,
) -> None:
    """The error is logged once, not for each time that the server looks at the connection."""
    connection.socket.sendall(garbage)
    assert connection.is_ended()
    (addr,) = servers.start()
    etcd.put("svc/1", stored(addr))
    wait_until(lambda: ask(channel) == addr)
    errors = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert [each.message for each in errors] == ["a connection of gRPC's is dropped after an error"]


def test_server_goes_on_when_a_step_of_its_thread_fails(
    channel: Channel,
    etcd: Etcd,
    servers: CountingServers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Outside of the work for one connection, too."""
    server = process.services._server
    failures: list[int] = []

    def fail() -> None:
        monkeypatch.undo()
        failures.append(1)
        raise ValueError("a bug")

    monkeypatch.setattr(server, "_mark_changes", fail)
    (addr,) = servers.start()
    etcd.put("svc/1", stored(addr))
    wait_until(lambda: ask(channel) == addr)
    assert failures == [1]
    assert "a bug" in caplog.text


def test_change_is_sent_when_a_timer_of_the_server_fails_in_the_same_step(
    channel: Channel, etcd: Etcd, servers: CountingServers, caplog: pytest.LogCaptureFixture
) -> None:
    """In that step: the thread neither pauses nor leaves the change to a later one."""
    server = process.services._server
    assert server
    streams = [each for peer in server._peers.values() for each in peer.streams.values()]
    # No step comes by itself, but for what is sent once more seconds later.
    wait_until(lambda: all((each.resend_at or math.inf) > time.monotonic() + 1 for each in streams))
    (addr,) = servers.start()

    def fail() -> None:
        raise ValueError("a bug")

    with process.services.lock:  # the next step waits for it
        server._timers.clear()  # of earlier tests
        etcd.put("svc/1", stored(addr))
        wait_until(lambda: server._announced)
        server.call_later(0, fail)
    wait_until(lambda: ask(channel) == addr)
    assert "a bug" in caplog.text
    assert caplog.messages == ["the xDS server goes on after an error"]


@pytest.mark.parametrize("ended", [False, True])
def test_message_is_received_although_the_same_bytes_reset_its_stream(ended: bool) -> None:
    """Its answer is dropped. A second stream goes on."""
    client, server = H2Connection(), embedded.Connection()
    client.initiate_connection()
    for stream in (1, 3):
        client.send_headers(stream, HEADERS)
        client.send_data(stream, b"\0\0\0\0\1?", end_stream=ended and stream == 1)
    client.reset_stream(1)

    for stream, message in server.receive(client.data_to_send()):
        if message:
            server.send(stream, b"!")

    events = client.receive_data(server.to_send())
    data = [(each.stream_id, each.data) for each in events if isinstance(each, DataReceived)]
    assert data == [(3, b"\0\0\0\0\1!")]
