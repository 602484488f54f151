"""What stubs call: each call goes by the inner channel of its moment, or waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
import grpc.aio

from ..resolver.failed import FailedCall
from ..resolver.inner import Inner, Method
from ..resolver.shapes import AioBase
from ..resolver.terms import Terms
from .current import Current

__all__ = ["MultiCallable"]

_NOWHERE = "ipv4:127.0.0.1:1"
"""What is dialled where nothing is: a channel connects only when something is sent."""


class MultiCallable(AioBase):
    """A method of a service. The channel, its owner, lives as long as it can be called."""

    def __init__(self, owner: object, current: Current, method: Method) -> None:
        self._owner, self._current, self._method = owner, current, method

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Return the call."""
        inner = self._current.view.inner
        if inner is None or self._current.closed:
            call = self._wait(self._terms(*args, **named))
        else:
            call = self._begin(inner, *args, **named)
        self._current.under_way.add(call)
        return call

    def _terms(self, *args: Any, **named: Any) -> Terms:
        if not args and self._method.kind.startswith("stream"):
            named.setdefault("request_iterator", None)  # who gives none writes later
        return Terms.of(*args, **named)

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
        return self._begin(inner, request, **left.named())

    def _begin(self, inner: Inner, *args: Any, **named: Any) -> Any:
        call = inner.callable(self._method)(*args, **named)
        call.inner = inner  # up to gRPC 1.62, calls got lost without this reference
        return call


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
