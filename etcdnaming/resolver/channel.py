"""A gRPC channel whose endpoints are those that etcd has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import finalize

import grpc

from ..etcd import Client
from ..etcd.channel_state import Listener
from .calls import StreamStream, StreamUnary, Switchboard, UnaryStream, UnaryUnary
from .current import Current
from .informed import Informed
from .inner import Method

__all__ = ["Channel"]


class Channel(Informed, grpc.Channel):
    """
    Calls go to the endpoints of *target*, whatever they are when a call is made.

    It ends when closed, or when neither it nor a stub made from it is referred to any more.

    Args:
        hold: Seconds for which endpoints are kept that are missing when etcd is read again.

        dial: Makes the channel to a set of endpoints.
    """

    _current: Current

    def __init__(
        self, client: Client, target: str, hold: float, dial: Callable[[str], grpc.Channel]
    ) -> None:
        self._current = Current(client, target, hold, dial)
        self._switchboard = Switchboard(self._current)
        finalize(self, self._current.abandon)

    def unary_unary(self, *args: Any, **named: Any) -> UnaryUnary:
        """As gRPC."""
        return UnaryUnary(self, self._switchboard, Method("unary_unary", *args, **named))

    def unary_stream(self, *args: Any, **named: Any) -> UnaryStream:
        """As gRPC."""
        return UnaryStream(self, self._switchboard, Method("unary_stream", *args, **named))

    def stream_unary(self, *args: Any, **named: Any) -> StreamUnary:
        """As gRPC."""
        return StreamUnary(self, self._switchboard, Method("stream_unary", *args, **named))

    def stream_stream(self, *args: Any, **named: Any) -> StreamStream:
        """As gRPC."""
        return StreamStream(self, self._switchboard, Method("stream_stream", *args, **named))

    def subscribe(self, callback: Listener, try_to_connect: bool | None = False) -> None:  # noqa: FBT001, FBT002 - as gRPC
        """As gRPC; for the service as a whole, whatever its endpoints are."""
        self._current.connectivity.subscribe(callback, try_to_connect=bool(try_to_connect))

    def unsubscribe(self, callback: Listener) -> None:
        """As gRPC."""
        self._current.connectivity.unsubscribe(callback)

    def close(self) -> None:
        """End it, and the calls under way; those that a thread blocks for within a second."""
        self._current.close()
        self._switchboard.cancel_all()

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
