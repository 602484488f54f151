"""A server that handles only logins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import grpc

from etcdnaming.etcd import rpc

from .etcd import Etcd
from .metrics import metric

__all__ = ["LoginServer", "begun", "busy", "token"]


def begun(etcd: Etcd) -> int:
    """Return how many logins *etcd* was asked for, whatever their results."""
    return int(metric(etcd, "grpc_server_started_total", "Authenticate"))


def busy(context: grpc.ServicerContext) -> str:
    """Refuse a login as an overloaded etcd does."""
    context.abort(grpc.StatusCode.UNAVAILABLE, "etcdserver: too many requests")
    raise AssertionError


def token(text: str) -> Callable[[grpc.ServicerContext], str]:
    """Return a function that answers a login with the token *text*."""
    return lambda _: text


class LoginServer:
    """
    Answers each login with the result of *answer*, once `released` is set.

    `begun` counts logins; `given_up` counts those whose client was gone before the answer.
    """

    def __init__(self, answer: Callable[[grpc.ServicerContext], str]) -> None:
        self.begun = self.given_up = 0
        self.released = threading.Event()
        self._answer = answer
        self._server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_unary_rpc_method_handler(
            self._log_in,
            rpc.AuthenticateRequest.FromString,
            rpc.AuthenticateResponse.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("etcdserverpb.Auth", {"Authenticate": handler})]
        )
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def __enter__(self) -> LoginServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.released.set()
        self._server.stop(0).wait()

    def _log_in(
        self, request: rpc.AuthenticateRequest, context: grpc.ServicerContext
    ) -> rpc.AuthenticateResponse:
        self.begun += 1
        self.released.wait(60)
        self.given_up += not context.is_active()
        return rpc.AuthenticateResponse(token=self._answer(context))
