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

from ..errors import ClientClosedError, ConnectionFailedError, PermissionDeniedError
from .answers import LearnerError, TokenRefusedError, invalid, understand
from .authenticate import Authenticator
from .deadline import Deadline, within
from .idling import threads_of_a_call
from .login import Login
from .members import Member, Members
from .threads import no_thread

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


def _no_fault(*_: object) -> str:
    return ""


class Method(Generic[Request, Response]):
    """
    A method of etcd's API.

    *writes*: asking twice may not be the same as asking once. *fault_of* returns what is wrong with
    an answer that no etcd gives, see `answer_checks`.
    """

    def __init__(
        self,
        path: str,
        request: type[Request],
        response: type[Response],
        *,
        writes: bool = False,
        fault_of: Callable[[Request, Response], str] = _no_fault,
    ) -> None:
        self.path, self.request, self.response, self.writes = path, request, response, writes
        self.fault_of = fault_of


class Caller:
    """Makes calls for any number of threads; what they share belongs to *members* and *login*."""

    def __init__(
        self, members: Members, login: Login, *, dial_timeout: float, command_timeout: float
    ) -> None:
        self._members, self._login = members, login
        self._authenticator = Authenticator(
            members, dial_timeout=dial_timeout, command_timeout=command_timeout
        )
        self._dial_timeout, self._command_timeout = dial_timeout, command_timeout
        self._total = dial_timeout + command_timeout
        self._closing = threading.Event()

    def call(self, method: Method[Request, Response], request: Request) -> Response:
        """
        Return etcd's answer.

        Raises:
            EtcdError: Any of its kinds; `OutcomeUnknownError` for writes only.
        """
        with within(self._total) as deadline:
            token = self._login.token(deadline, self._authenticator)
            try:
                try:
                    return self._ask(method, request, token, deadline)
                except TokenRefusedError as exc:
                    self._login.renew(token, exc)
                token = self._login.token(deadline, self._authenticator)
                return self._ask(method, request, token, deadline)
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
            return member, self._begin_stream(
                member, lambda: call(iter(requests), metadata=metadata)
            )

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
        return member, self._begin_stream(member, lambda: call(request(), metadata=metadata))

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
        self._login.close()

    def after_fork(self) -> None:
        """Pause without a lock that a thread of the parent may hold: see `fork`."""
        closing, self._closing = self._closing, threading.Event()
        if closing.is_set():
            self._closing.set()

    def _beginning(self) -> tuple[Member, _Metadata]:
        with within(self._total) as deadline:
            token = self._login.token(deadline, self._authenticator)
            return self._current(deadline), (*_identity(token), REQUIRE_LEADER)

    def _current(self, deadline: Deadline) -> Member:
        try:
            return self._members.current(deadline)
        except RuntimeError as exc:  # gRPC could not start the thread that watches a connection
            raise no_thread(exc) from exc

    def _begin_stream(
        self, member: Member, begin: Callable[[], Answers[Response]]
    ) -> Answers[Response]:
        """
        Return what *begin* begins on *member*.

        gRPC starts threads for it. When it can't start that of the channel, it takes the thread for
        started all the same, so that no later stream on this channel would ever get an answer: the
        channel has to be given up.
        """
        try:
            return begin()
        except ValueError as exc:  # what gRPC raises for a channel that was closed
            raise ClientClosedError from exc
        except RuntimeError as exc:
            self._members.leave(member)
            raise no_thread(exc) from exc

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
        # A learner that is reached is as good as no endpoint: the search for another one ends, too.
        search = Deadline(self._dial_timeout)
        while True:
            member = self._current(deadline)
            timeout = share * min(self._command_timeout, deadline.left())
            if not timeout:
                # gRPC would report a deadline, which for a write can't be told from a lost answer.
                raise ConnectionFailedError(
                    f"{member.name}: no time is left of {deadline.seconds:g}s, nothing was sent"
                )
            cause: grpc.RpcError | None = None
            try:
                response = _send(member, method, request, token, timeout)
            except grpc.RpcError as exc:
                size = request.ByteSize()
                answer = understand(exc, member.name, writes=method.writes, sent=size)
                cause = exc
            else:
                fault = method.fault_of(request, response)
                if not fault:
                    return response
                answer = invalid(fault, member.name, writes=method.writes)
            if answer.leave:
                self._members.leave(member)
            in_vain = isinstance(answer.error, LearnerError) and not search.left()
            if not answer.repeat or in_vain or deadline.left() < PAUSE:
                raise answer.error from cause
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


def _identity(token: str | None) -> _Metadata:
    return (("token", token),) if token else ()
