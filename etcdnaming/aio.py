"""
Channels that follow etcd, for asyncio: the twins of those in `resolver`.

They belong to the event loop that runs when they are made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import finalize

import grpc
import grpc.aio

from . import keys
from .etcd import Client
from .model import Endpoint
from .resolver.current import SETTLE, SPACING, SPACING_PER_ENDPOINT, WARM
from .resolver.dialling import RESYNC_HOLD, Options, Policy, channel_options, check_hold
from .resolver.failed import FailedCall
from .resolver.following import follow, unfollow
from .resolver.inner import Inner, Method, View
from .resolver.outlook import Outlook
from .resolver.shapes import AioBase
from .resolver.terms import Terms
from .resolver.waiting import admit, too_late

__all__ = ["Channel", "insecure_channel", "secure_channel"]

_NOWHERE = "ipv4:127.0.0.1:1"
"""What is dialled where nothing is: a channel connects only when something is sent."""


def insecure_channel(
    target: str,
    client: Client,
    *,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Sequence[grpc.aio.ClientInterceptor] | None = None,
    policy: Policy = "round_robin",
    authority: str | None = None,
    resync_hold: float = RESYNC_HOLD,
) -> Channel:
    """Return a channel to the endpoints of *target*, without TLS: see `resolver`."""

    def dial(addresses: str) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(addresses, chosen, compression, interceptors)

    name = keys.parse_target(target)
    chosen = channel_options(name, options, policy, authority)
    return Channel(client, name, resync_hold, dial)


def secure_channel(
    target: str,
    credentials: grpc.ChannelCredentials,
    client: Client,
    *,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Sequence[grpc.aio.ClientInterceptor] | None = None,
    policy: Policy = "round_robin",
    authority: str | None = None,
    resync_hold: float = RESYNC_HOLD,
) -> Channel:
    """Return a channel to the endpoints of *target*, with *credentials*: see `resolver`."""

    def dial(addresses: str) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(addresses, credentials, chosen, compression, interceptors)

    name = keys.parse_target(target)
    chosen = channel_options(name, options, policy, authority)
    return Channel(client, name, resync_hold, dial)


class Channel(grpc.aio.Channel):
    """
    Calls go to the endpoints of *target*, whatever they are when a call is made.

    It ends when closed, or when neither it nor a stub made from it is referred to any more.
    """

    def __init__(
        self, client: Client, target: str, hold: float, dial: Callable[[str], grpc.aio.Channel]
    ) -> None:
        check_hold(hold)
        dial(_NOWHERE)  # complains of options here, not in a task
        self._current = _Current(client, target, hold, dial)
        finalize(self, self._current.abandon)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Those that calls are sent to now."""
        return self._current.view.endpoints

    @property
    def age(self) -> float | None:
        """The seconds since etcd could last have changed them; ``None`` if it was never read."""
        return self._current.following.age()

    def unary_unary(self, *args: Any, **named: Any) -> Any:
        """As gRPC."""
        return _Callable(self, self._current, Method("unary_unary", *args, **named))

    def unary_stream(self, *args: Any, **named: Any) -> Any:
        """As gRPC."""
        return _Callable(self, self._current, Method("unary_stream", *args, **named))

    def stream_unary(self, *args: Any, **named: Any) -> Any:
        """As gRPC."""
        return _Callable(self, self._current, Method("stream_unary", *args, **named))

    def stream_stream(self, *args: Any, **named: Any) -> Any:
        """As gRPC."""
        return _Callable(self, self._current, Method("stream_stream", *args, **named))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - as gRPC
        """As gRPC; of the service as a whole."""
        return self._current.state(try_to_connect=try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """As gRPC."""
        while self.get_state() is last_observed_state:
            await self._current.wait_for_state(last_observed_state)

    async def channel_ready(self) -> None:
        """As gRPC."""
        while (state := self.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            await self.wait_for_state_change(state)

    async def close(self, grace: float | None = None) -> None:
        """End it and, after *grace* seconds, the calls to the present endpoints."""
        inner = self._current.view.inner
        self._current.abandon()
        if inner:
            await inner.channel.close(grace)

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Current:
    """
    Keeps `view` up to date, in a task of its own, until abandoned.

    All of it belongs to the loop; what follows etcd wakes it from another thread.
    """

    def __init__(
        self, client: Client, target: str, hold: float, dial: Callable[[str], grpc.aio.Channel]
    ) -> None:
        self.view, self.closed = View(), False
        self._dial = dial
        self._rest_ends = 0.0
        self._loop = asyncio.get_running_loop()
        self._news, self._changed = asyncio.Event(), asyncio.Event()
        self.following = follow(client, target, hold, self._wake)
        self._news.set()
        self._task = self._loop.create_task(self._run())

    def abandon(self) -> None:
        """Refuse calls from now on; those under way go on to their ends."""
        self.closed = True
        self._wake()

    def state(self, *, try_to_connect: bool) -> grpc.ChannelConnectivity:
        """Return the state of the service."""
        if self.view.inner:
            state: grpc.ChannelConnectivity = self.view.inner.channel.get_state(try_to_connect)
            return state
        if self.closed:
            return grpc.ChannelConnectivity.SHUTDOWN
        states = grpc.ChannelConnectivity
        return states.TRANSIENT_FAILURE if self.view.reason else states.CONNECTING

    async def wait_for_state(self, last: grpc.ChannelConnectivity) -> None:
        """Return when it may not be *last* any more."""
        waits = [self._loop.create_task(self._changed.wait())]
        if self.view.inner:
            change = self.view.inner.channel.wait_for_state_change(last)
            waits.append(self._loop.create_task(change))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def admit(self, terms: Terms) -> tuple[Inner, Terms]:
        """Return where a call can be sent, and on which terms, as soon as it can be."""
        end = terms.end()
        while not (inner := admit(self.view, terms, closed=self.closed)):
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise too_late(self.view)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
        return inner, terms.until(end)

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody is there to be woken
            self._loop.call_soon_threadsafe(self._news.set)

    async def _run(self) -> None:
        try:
            while await self._wait_for_news():
                await self._replace(self.following.outlook)
        finally:
            unfollow(self.following, self._wake)
            self._take(View())

    async def _wait_for_news(self) -> bool:
        await self._news.wait()
        if self.view.inner and not self.closed:
            await asyncio.sleep(max(SETTLE, self._rest_ends - time.monotonic()))
        self._news.clear()
        return not self.closed

    async def _replace(self, outlook: Outlook) -> None:
        old = self.view.inner
        if outlook.target is None:
            self._take(View(None, (), outlook.reason, outlook.final))
        elif old and old.target == outlook.target:
            self._take(View(old, outlook.endpoints))
        else:
            channel: Any = self._dial(outlook.target)
            if old:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(channel.channel_ready(), WARM)
            self._take(View(Inner(channel, outlook.target), outlook.endpoints))

    def _take(self, view: View) -> None:
        self.view = View() if self.closed else view
        spacing = max(SPACING, SPACING_PER_ENDPOINT * len(view.endpoints))
        self._rest_ends = time.monotonic() + spacing
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class _Callable(AioBase):
    """A method of a service. The channel, its owner, lives as long as somebody can call it."""

    def __init__(self, owner: Channel, current: _Current, method: Method) -> None:
        self._owner, self._current, self._method = owner, current, method

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Return the call."""
        inner = self._current.view.inner
        if inner is None:
            return self._wait(Terms.of(*args, **named))
        return inner.callable(self._method)(*args, **named)

    def _wait(self, terms: Terms) -> Any:
        """Return what stands for the call until it is sent: one that an interceptor holds up."""
        if self._current.closed:
            raise grpc.aio.UsageError("Channel is closed.")  # gRPC's own words
        send = partial(self._send, terms)
        later = [kind(send) for kind in (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)]
        channel = grpc.aio.insecure_channel(_NOWHERE, interceptors=later)
        return self._method.on(channel)(terms.request, **terms.named())

    async def _send(self, terms: Terms, request: Any) -> Any:
        try:
            inner, left = await self._current.admit(terms)
        except ValueError as exc:
            raise asyncio.CancelledError from exc
        except FailedCall as failed:
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(
                failed.code(), nothing, nothing, failed.details()
            ) from failed
        return inner.callable(self._method)(request, **left.named())


class _Later:
    """Sends the call with *send*, and not where gRPC would."""

    def __init__(self, send: Callable[[Any], Awaitable[Any]]) -> None:
        self._send = send


class _UnaryUnary(_Later, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await self._send(request)


class _UnaryStream(_Later, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await self._send(request)


class _StreamUnary(_Later, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Any, details: Any, requests: Any) -> Any:
        return await self._send(requests)


class _StreamStream(_Later, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return await self._send(requests)
