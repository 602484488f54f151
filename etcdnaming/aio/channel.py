"""A channel of ``grpc.aio`` whose endpoints are those that etcd has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import finalize

import grpc
import grpc.aio

from ..etcd import Client
from ..resolver.informed import Informed
from ..resolver.inner import Method
from .calls import MultiCallable
from .current import Current

__all__ = ["Channel"]


class Channel(Informed, grpc.aio.Channel):
    """
    Calls go to the endpoints of *target*, whatever they are when a call is made.

    It ends when closed, or when neither it nor a stub made from it is referred to any more.
    """

    _current: Current

    def __init__(
        self, client: Client, target: str, hold: float, dial: Callable[[str], grpc.aio.Channel]
    ) -> None:
        self._current = Current(client, target, hold, dial)
        finalize(self, self._current.abandon)

    def unary_unary(self, *args: Any, **named: Any) -> Any:
        """As gRPC."""
        return MultiCallable(self, self._current, Method("unary_unary", *args, **named))

    def unary_stream(self, *args: Any, **named: Any) -> Any:
        """As gRPC."""
        return MultiCallable(self, self._current, Method("unary_stream", *args, **named))

    def stream_unary(self, *args: Any, **named: Any) -> Any:
        """As gRPC."""
        return MultiCallable(self, self._current, Method("stream_unary", *args, **named))

    def stream_stream(self, *args: Any, **named: Any) -> Any:
        """As gRPC."""
        return MultiCallable(self, self._current, Method("stream_stream", *args, **named))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - as gRPC
        """As gRPC; of the service as a whole."""
        return self._current.state(try_to_connect=try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """As gRPC."""
        while self.get_state() is last_observed_state:
            if self._current.closed:
                raise grpc.aio.UsageError("Channel is closed.")  # gRPC's own words
            await self._current.wait_for_state(last_observed_state)

    async def channel_ready(self) -> None:
        """As gRPC."""
        while (state := self.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            await self.wait_for_state_change(state)

    async def close(self, grace: float | None = None) -> None:
        """End it and, after *grace* seconds, the calls under way, those on former endpoints too."""
        self._current.abandon()
        under_way = [call for call in self._current.under_way if not call.done()]
        if under_way and grace:
            ends = [asyncio.ensure_future(call.code()) for call in under_way]
            await asyncio.wait(ends, timeout=grace)
        for call in under_way:
            call.cancel()

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
