"""The server's half of a gRPC connection: bytes in, messages out, and back; on the library h2."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

__all__ = ["Connection", "ProtocolError", "Received"]

PREFIX = Struct(">BI")
"""What precedes a message in a gRPC stream: whether it is compressed, and its length."""

HEADERS = [(b":status", b"200"), (b"content-type", b"application/grpc")]


class Received(NamedTuple):
    """A message on a stream; ``None``: the stream has ended."""

    stream: int
    message: bytes | None


class _Stream:
    __slots__ = ("answered", "incoming", "outgoing")

    def __init__(self) -> None:
        self.incoming, self.outgoing, self.answered = bytearray(), bytearray(), False


class Connection:
    """One connection, without I/O. Belongs to one thread."""

    def __init__(self) -> None:
        config = H2Configuration(client_side=False, header_encoding=None)
        self._http = H2Connection(config)
        self._http.initiate_connection()
        self._streams: dict[int, _Stream] = {}
        self._reset: set[int] = set()

    def receive(self, data: bytes) -> Iterator[Received]:
        """
        Take *data*; yield what has arrived.

        Raises:
            ProtocolError: The connection has to be closed.
        """
        events = self._http.receive_data(data)
        # h2 knows all of them already, and refuses to send on a stream that a later one resets.
        self._reset = {each.stream_id for each in events if isinstance(each, StreamReset)}
        for event in events:
            yield from self._handle(event)

    def send(self, stream: int, message: bytes) -> None:
        """Send *message* on *stream*, unless that has ended."""
        state = self._streams.get(stream)
        if state is None or stream in self._reset:
            return
        if not state.answered:
            state.answered = True
            self._http.send_headers(stream, HEADERS)
        state.outgoing += PREFIX.pack(0, len(message)) + message
        self._send_what_fits(stream, state)

    def is_sent(self, stream: int) -> bool:
        """Return whether gRPC's windows let all messages of *stream* out."""
        state = self._streams.get(stream)
        return state is None or not state.outgoing

    def to_send(self) -> bytes:
        """Return the bytes to be written now."""
        data: bytes = self._http.data_to_send()
        return data

    def _handle(self, event: object) -> Iterator[Received]:
        if isinstance(event, RequestReceived):
            self._streams[event.stream_id] = _Stream()
        elif isinstance(event, DataReceived):
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if state := self._streams.get(event.stream_id):
                state.incoming += event.data
                yield from self._messages(event.stream_id, state.incoming)
        elif isinstance(event, (StreamEnded, StreamReset)):
            if self._streams.pop(event.stream_id, None):
                if event.stream_id not in self._reset:
                    self._http.reset_stream(event.stream_id)
                yield Received(event.stream_id, None)
        elif isinstance(event, (WindowUpdated, RemoteSettingsChanged)):
            for stream, state in self._streams.items():
                if stream not in self._reset:
                    self._send_what_fits(stream, state)

    def _messages(self, stream: int, incoming: bytearray) -> Iterator[Received]:
        while len(incoming) >= PREFIX.size:
            compressed, length = PREFIX.unpack_from(incoming)
            end = PREFIX.size + length
            if compressed:
                raise ProtocolError("a compressed message, which nothing here offers")
            if len(incoming) < end:
                return
            message = bytes(incoming[PREFIX.size : end])
            del incoming[:end]
            yield Received(stream, message)

    def _send_what_fits(self, stream: int, state: _Stream) -> None:
        while state.outgoing:
            window = self._http.local_flow_control_window(stream)
            size = min(window, self._http.max_outbound_frame_size, len(state.outgoing))
            if size <= 0:
                return
            self._http.send_data(stream, bytes(state.outgoing[:size]))
            del state.outgoing[:size]
