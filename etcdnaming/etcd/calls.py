"""
One call of etcd, from start to answer: which member, how long, again or not.

A member is used only once its connection is ready; a read is asked again elsewhere; a write is
repeated only if etcd said that it was not applied; a refused token is renewed once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from ..errors import ClientClosedError, PermissionDeniedError, RefusedError
from . import rpc_pb2 as rpc
from .answers import TokenRefusedError, understand
from .deadline import Deadline, within
from .idling import threads_of_a_call
from .login import Login
from .members import Member, Members

__all__ = ["Answers", "Caller", "Method"]

PAUSE = 0.2
"""Seconds, at most, before somebody is asked again who could not answer."""

REQUIRE_LEADER = ("hasleader", "true")
"""A member that has lost its leader ends a stream that says so, instead of going silent."""

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Answer_co = TypeVar("Answer_co", covariant=True)

_Metadata: TypeAlias = tuple[tuple[str, str], ...]


class Answers(Protocol[Answer_co]):
    """A call under way."""

    def __iter__(self) -> Iterator[Answer_co]:
        """Wait for one after the other."""

    def cancel(self) -> object:
        """End it."""


class Method(Generic[Request, Response]):
    """A method of etcd's API. *writes*: asking twice may not be the same as asking once."""

    def __init__(
        self, path: str, request: type[Request], response: type[Response], *, writes: bool = False
    ) -> None:
        self.path, self.request, self.response, self.writes = path, request, response, writes


_AUTHENTICATE = Method(
    "/etcdserverpb.Auth/Authenticate", rpc.AuthenticateRequest, rpc.AuthenticateResponse
)


class Caller:
    """Makes calls for any number of threads; what they share belongs to *members* and *login*."""

    def __init__(
        self, members: Members, login: Login, *, dial_timeout: float, command_timeout: float
    ) -> None:
        self._members, self._login = members, login
        self._command_timeout = command_timeout
        self._total = dial_timeout + command_timeout
        self._closing = threading.Event()

    def call(self, method: Method[Request, Response], request: Request) -> Response:
        """
        Return etcd's answer.

        Raises:
            EtcdError: Any of its kinds; `OutcomeUnknownError` for writes only.
        """
        with within(self._total) as deadline:
            token = self._login.token(self._authenticate)
            try:
                try:
                    return self._ask(method, request, token, deadline)
                except TokenRefusedError as exc:
                    self._login.renew(token, exc)
                return self._ask(method, request, self._login.token(self._authenticate), deadline)
            except PermissionDeniedError as exc:
                raise self.explain(exc, request) from exc

    def stream(
        self, method: Method[Request, Response], requests: Iterable[Request]
    ) -> tuple[Member, Answers[Response]]:
        """
        Return who was called, and the answers, for as long as the call lasts.

        Raises:
            EtcdError: There is nobody to call.
        """
        member, metadata = self._beginning()
        call = member.channel.stream_stream(method.path, *_formats(method))
        with threads_of_a_call():
            return member, _answers(call, iter(requests), metadata)

    def listen(
        self, method: Method[Request, Response], request: Callable[[], Request]
    ) -> tuple[Member, Answers[Response]]:
        """
        Do the same for a single *request*, which is made when there is somebody to call.

        The answers are heard by the thread that waits for them, if the channel has that; who
        cancels the call has to `drain` it.
        """
        member, metadata = self._beginning()
        call = member.channel.unary_stream(method.path, *_formats(method))
        return member, _answers(call, request(), metadata)

    def explain(self, denied: PermissionDeniedError, request: Message) -> PermissionDeniedError:
        """Return *denied* with the user, and what *request* needs."""
        from .permission import explain_denial  # is not wanted by calls that go well

        return explain_denial(denied, self._login.name, request)

    def leave(self, member: Member) -> None:
        """Use another one from now on."""
        self._members.leave(member)

    def close(self) -> None:
        """Let nobody pause any longer."""
        self._closing.set()

    def _beginning(self) -> tuple[Member, _Metadata]:
        with within(self._total) as deadline:
            token = self._login.token(self._authenticate)
            return self._members.current(deadline), (*_identity(token), REQUIRE_LEADER)

    def _authenticate(self, user: str, password: str) -> str:
        request = rpc.AuthenticateRequest(name=user, password=password)
        with within(self._total) as deadline:
            try:
                return self._ask(_AUTHENTICATE, request, None, deadline).token
            except RefusedError as exc:
                # As for etcdctl: who says his name where nobody asks for it is let in.
                if "authentication is not enabled" in exc.text:
                    return ""
                raise

    def _pause(self) -> None:
        from random import uniform  # is not wanted by calls that go well

        self._closing.wait(uniform(0, PAUSE))

    def _ask(
        self,
        method: Method[Request, Response],
        request: Request,
        token: str | None,
        deadline: Deadline,
    ) -> Response:
        # A member that froze after it was ready must leave a reader time to ask another one.
        share = 1.0 if method.writes or self._members.alone else 0.5
        while True:
            member = self._members.current(deadline)
            timeout = share * min(self._command_timeout, deadline.left())
            try:
                return _send(member, method, request, token, timeout)
            except grpc.RpcError as exc:
                answer = understand(exc, member.name, writes=method.writes)
                if answer.leave:
                    self._members.leave(member)
                if not answer.repeat or deadline.left() < PAUSE:
                    raise answer.error from exc
            self._pause()
            share = 1.0


def _send(
    member: Member,
    method: Method[Request, Response],
    request: Request,
    token: str | None,
    timeout: float,
) -> Response:
    call: grpc.UnaryUnaryMultiCallable[Request, Response] = member.unary(
        method.path, method.request.SerializeToString, method.response.FromString
    )
    try:
        return call(request, timeout=timeout, metadata=_identity(token))
    except ValueError as exc:  # what gRPC raises for a channel that was closed
        raise ClientClosedError from exc


def _formats(
    method: Method[Request, Response],
) -> tuple[Callable[[Request], bytes], Callable[[bytes], Response]]:
    return method.request.SerializeToString, method.response.FromString


def _answers(
    call: Callable[..., Answers[Response]],
    said: Request | Iterator[Request],
    metadata: _Metadata,
) -> Answers[Response]:
    try:
        return call(said, metadata=metadata)
    except ValueError as exc:  # what gRPC raises for a channel that was closed
        raise ClientClosedError from exc


def _identity(token: str | None) -> _Metadata:
    return (("token", token),) if token else ()
