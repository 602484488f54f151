"""A proxy in front of etcd that gives answers which no etcd gives."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import grpc

from etcdnaming.etcd import rpc

__all__ = ["HostileProxy"]

Metadata = tuple[tuple[str, str], ...]

_STREAMS = {"Watch", "LeaseKeepAlive"}


class HostileProxy:
    """
    Passes calls on to the etcd at *endpoint*, and changes the answers.

    Requests may have at most *max_request* bytes; -1 means any number. The keys of all attributes
    are the last parts of method names, such as ``LeaseGrant``.

    `excuses` are the errors with which calls are refused before they reach etcd. `changes` are
    functions that change an answer in place. `headers` are sent before the answers.
    `delays` are the seconds for which an answer is kept back after etcd has given it. `remaining`
    lists the seconds that each call had left when it arrived; `answered` counts the answers.
    """

    def __init__(self, endpoint: str, max_request: int = -1) -> None:
        self.excuses: dict[str, str] = {}
        self.changes: dict[str, Callable[[Any], object]] = {}
        self.headers: dict[str, Metadata] = {}
        self.delays: dict[str, float] = {}
        self.remaining: defaultdict[str, list[float]] = defaultdict(list)
        self.answered: Counter[str] = Counter()
        self._tokens: set[str | bytes] = set()
        self._refused: frozenset[str | bytes] = frozenset()
        limit = "grpc.max_receive_message_length"
        self._behind = grpc.insecure_channel(endpoint, [(limit, -1)])
        self._server = grpc.server(
            ThreadPoolExecutor(30), [_Everything(self)], options=[(limit, max_request)]
        )
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def __enter__(self) -> HostileProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop(0.1).wait()
        self._behind.close()

    def refuse_known_tokens(self) -> None:
        """Refuse, from now on, all tokens that were sent until now."""
        self._refused = frozenset(self._tokens)

    def call(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Pass on one request; etcd has handled it before the answer is changed."""
        name = method.rpartition("/")[2]
        self.remaining[name].append(context.time_remaining())
        self._check_token(context)
        if excuse := self.excuses.get(name):
            context.abort(grpc.StatusCode.UNAVAILABLE, excuse)
        try:
            answer = self._behind.unary_unary(method, bytes, bytes)(
                request, metadata=_identity(context), timeout=30
            )
        except grpc.RpcError as exc:
            context.abort(exc.code(), exc.details() or "")
        time.sleep(self.delays.get(name, 0))
        if headers := self.headers.get(name):
            context.send_initial_metadata(headers)
        return self._changed(name, answer)

    def stream(
        self, method: str, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        """Pass on a stream."""
        self._check_token(context)
        call = self._behind.stream_stream(method, bytes, bytes)(
            _until_canceled(requests), metadata=_identity(context)
        )
        context.add_callback(lambda: _cancel(call))
        name = method.rpartition("/")[2]
        try:
            for answer in call:
                yield self._changed(name, answer)
        except grpc.RpcError as exc:
            context.abort(exc.code(), exc.details() or "")

    def _check_token(self, context: grpc.ServicerContext) -> None:
        token = dict(_identity(context)).get("token")
        if token in self._refused:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "etcdserver: invalid auth token")
        if token:
            self._tokens.add(token)

    def _changed(self, name: str, answer: bytes) -> bytes:
        self.answered[name] += 1
        change = self.changes.get(name)
        if not change:
            return answer
        response = getattr(rpc, f"{name}Response").FromString(answer)
        change(response)
        changed: bytes = response.SerializeToString()
        return changed


class _Everything(grpc.GenericRpcHandler):
    def __init__(self, proxy: HostileProxy) -> None:
        self._proxy = proxy

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method
        if method.rpartition("/")[2] in _STREAMS:
            return grpc.stream_stream_rpc_method_handler(
                lambda requests, context: self._proxy.stream(method, requests, context)
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._proxy.call(method, request, context)
        )


def _cancel(call: grpc.Call) -> None:
    call.cancel()


def _until_canceled(requests: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from requests
    except grpc.RpcError:  # gRPC reports in this way that the caller has gone away
        return


def _identity(context: grpc.ServicerContext) -> tuple[tuple[str, str | bytes], ...]:
    sent = context.invocation_metadata()
    return tuple((key, value) for key, value in sent if key in {"token", "hasleader"})
