"""A relay between a client and etcd, whose watches fail when a test wants them to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from etcdnaming.etcd import rpc

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "Answers",
    "Relay",
    "broken",
    "cut_off_when",
    "only_accepted",
    "passed_on",
    "refused",
    "silent",
    "unheard",
]

# etcd lets clients ping every 5 s; gRPC's own default would end their connections for it.
PINGS = [
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
]

Answers = Iterator[rpc.WatchResponse]
"""What etcd answers to a watch: first that it accepts, then what happens."""


def passed_on(answers: Answers) -> Answers:
    """Pass all answers on unchanged."""
    return answers


def only_accepted(answers: Answers) -> Answers:
    """Accept the watch, then end the stream."""
    yield next(answers)


def silent(answers: Answers) -> Answers:
    """Accept the watch and then send nothing, like a grpc-proxy that has lost its own watch."""
    yield next(answers)
    for _ in answers:
        pass


def cut_off_when(event: threading.Event) -> Callable[[Answers], Answers]:
    """Return a treatment that accepts the watch, sends nothing, and breaks it on *event*."""

    def treatment(answers: Answers) -> Answers:
        yield next(answers)
        event.wait(30)
        raise _BrokenError

    return treatment


class _BrokenError(grpc.RpcError):
    """What clients see of a broken connection; a clean end would end the watch of a Go client."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "the connection is broken"


def unheard(answers: Answers) -> Answers:
    """Neither accept nor refuse the watch."""
    for _ in answers:
        yield from ()


def broken(answers: Answers) -> Answers:
    """End the stream before any answer."""
    return iter(())


def refused(reason: str, watch_id: int = -1) -> Callable[[Answers], Answers]:
    """Return a treatment that refuses the watch as etcd or its proxy does."""
    return lambda _: iter(
        [rpc.WatchResponse(created=True, canceled=True, watch_id=watch_id, cancel_reason=reason)]
    )


class Relay:
    """
    Passes calls on to the etcd at *endpoint*, and its answers back.

    `streams` counts the watch streams, `ended` those that have ended. `watch_ids` are the IDs that
    were requested. Each stream gets the next one of `treatments`; the last one stays. If `excuse`
    is set, all other calls fail with it.
    """

    def __init__(self, endpoint: str, *treatments: Callable[[Answers], Answers]) -> None:
        self.streams = self.ended = 0
        self.watch_ids: list[int] = []
        self.excuse = ""
        self.treatments = list(treatments) or [passed_on]
        self._behind = grpc.insecure_channel(endpoint, [("grpc.max_receive_message_length", -1)])
        self._server = grpc.server(ThreadPoolExecutor(30), [_Everything(self)], options=PINGS)
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop(0.1).wait()
        self._behind.close()

    def call(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Pass on one request."""
        if self.excuse:
            context.abort(grpc.StatusCode.UNAVAILABLE, self.excuse)
        try:
            answer: bytes = self._behind.unary_unary(method, bytes, bytes)(
                request, metadata=_identity(context), timeout=30
            )
        except grpc.RpcError as exc:
            context.abort(exc.code(), exc.details() or "")
        return answer

    def watch(
        self, method: str, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Answers:
        """Pass on a stream, with its treatment."""
        self.streams += 1
        treatment = self.treatments[0]
        if len(self.treatments) > 1:
            del self.treatments[0]
        call = self._behind.stream_stream(method, bytes, rpc.WatchResponse.FromString)(
            map(self._note, requests), metadata=_identity(context)
        )
        context.add_callback(partial(self._end, call))
        try:
            yield from treatment(iter(call))
        except grpc.RpcError as exc:
            context.abort(exc.code(), exc.details() or "")

    def _end(self, call: grpc.Call) -> None:
        _cancel(call)
        self.ended += 1

    def _note(self, request: bytes) -> bytes:
        message = rpc.WatchRequest.FromString(request)
        if message.HasField("create_request"):
            self.watch_ids.append(message.create_request.watch_id)
        return request


class _Everything(grpc.GenericRpcHandler):
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method
        if method.endswith("/Watch"):
            return grpc.stream_stream_rpc_method_handler(
                lambda requests, context: self._relay.watch(method, requests, context),
                response_serializer=rpc.WatchResponse.SerializeToString,
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._relay.call(method, request, context)
        )


def _identity(context: grpc.ServicerContext) -> tuple[tuple[str, str | bytes], ...]:
    sent = context.invocation_metadata()
    return tuple((key, value) for key, value in sent if key in {"token", "hasleader"})


def _cancel(call: grpc.Call) -> None:
    call.cancel()
