"""
One call of etcd, from start to answer: which member, how long, again or not.

A member is used only once its connection is ready. A read is repeated on another member; a write
only if etcd said that it was not applied. A refused token is renewed once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeAlias, TypeVar, cast

import grpc
from google.protobuf.message import Message

from ..errors import (
    ClientClosedError,
    ConnectionFailedError,
    LearnerError,
    NotNowError,
    PermissionDeniedError,
    TokenRefusedError,
)
from ..fork import call_after_fork
from . import rpc_pb2 as rpc
from .answers import (
    classify,
    explain_denial,
    fault_of_delete,
    fault_of_grant,
    fault_of_range,
    fault_of_txn,
    invalid,
)
from .columns import PageOfColumns
from .deadline import FIRST_PAUSE, Deadline, full_jitter, within
from .grpc_tuning import threads_of_a_call
from .login import Login
from .members import REQUIRE_LEADER, Member, Members
from .threads import no_thread

__all__ = [
    "DELETE_RANGE",
    "LEASE_GRANT",
    "LEASE_REVOKE",
    "LEASE_TIME_TO_LIVE",
    "RANGE",
    "RANGE_BY_COLUMNS",
    "READ",
    "STATUS",
    "TXN",
    "Caller",
    "Method",
    "ResponseStream",
]

MAX_PAUSE = 1.0
"""Seconds between two attempts of a call, at most: a cluster elects a leader in about as many."""

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message | PageOfColumns)
Response_co = TypeVar("Response_co", covariant=True)

_Metadata: TypeAlias = tuple[tuple[str, str], ...]


class ResponseStream(Protocol[Response_co]):
    """A call under way, and its responses."""

    def __iter__(self) -> Iterator[Response_co]:
        """Wait for one response after the other."""

    def cancel(self) -> object:
        """End it."""


class Method(Generic[Request, Response]):
    """
    A method of etcd's API.

    *writes*: sent twice, a request may be applied twice. *needs_leader* returns whether a request
    is one that a member without a leader can't answer; without it, each is. *fault_of* returns what
    is wrong with an answer that no etcd gives, see `answers`.
    """

    def __init__(  # noqa: PLR0913 - what its caller knows of it
        self,
        path: str,
        request: type[Request],
        response: type[Response],
        *,
        writes: bool = False,
        needs_leader: Callable[[Request], bool] | None = None,
        fault_of: Callable[[Request, Response], str] = lambda *_: "",
    ) -> None:
        self.path, self.request, self.response, self.writes = path, request, response, writes
        self.needs_leader, self.fault_of = needs_leader, fault_of


def _is_linearizable(request: rpc.RangeRequest) -> bool:
    return not request.serializable


RANGE = Method(
    "/etcdserverpb.KV/Range",
    rpc.RangeRequest,
    rpc.RangeResponse,
    needs_leader=_is_linearizable,
    fault_of=fault_of_range,
)
RANGE_BY_COLUMNS = Method(
    "/etcdserverpb.KV/Range",
    rpc.RangeRequest,
    PageOfColumns,
    needs_leader=_is_linearizable,
    fault_of=fault_of_range,
)
TXN = Method(
    "/etcdserverpb.KV/Txn", rpc.TxnRequest, rpc.TxnResponse, writes=True, fault_of=fault_of_txn
)
READ = Method("/etcdserverpb.KV/Txn", rpc.TxnRequest, rpc.TxnResponse, fault_of=fault_of_txn)
DELETE_RANGE = Method(
    "/etcdserverpb.KV/DeleteRange",
    rpc.DeleteRangeRequest,
    rpc.DeleteRangeResponse,
    writes=True,
    fault_of=fault_of_delete,
)
LEASE_GRANT = Method(
    "/etcdserverpb.Lease/LeaseGrant",
    rpc.LeaseGrantRequest,
    rpc.LeaseGrantResponse,
    writes=True,
    fault_of=fault_of_grant,
)
LEASE_REVOKE = Method(
    "/etcdserverpb.Lease/LeaseRevoke", rpc.LeaseRevokeRequest, rpc.LeaseRevokeResponse, writes=True
)
LEASE_TIME_TO_LIVE = Method(
    "/etcdserverpb.Lease/LeaseTimeToLive", rpc.LeaseTimeToLiveRequest, rpc.LeaseTimeToLiveResponse
)
STATUS = Method(
    "/etcdserverpb.Maintenance/Status",
    rpc.StatusRequest,
    rpc.StatusResponse,
    needs_leader=lambda _: False,
)


class Caller:
    """Makes calls for any number of threads; shared state belongs to *members* and *login*."""

    def __init__(
        self, members: Members, login: Login, *, dial_timeout: float, command_timeout: float
    ) -> None:
        self._members, self._login = members, login
        self._dial_timeout, self._command_timeout = dial_timeout, command_timeout
        self._total = dial_timeout + command_timeout
        self._closing = threading.Event()
        call_after_fork(self)

    def call(
        self, method: Method[Request, Response], request: Request, *, to_write: bool = False
    ) -> Response:
        """
        Return etcd's answer.

        *to_write*: what is read will be written, so an error names the permission to write.

        Raises:
            EtcdError: Any of its kinds; `OutcomeUnknownError` for writes only.
        """
        with within(self._total) as deadline:
            leader = method.needs_leader(request) if method.needs_leader else True
            token = self._token(deadline, needs_leader=leader)
            try:
                try:
                    return self._ask(
                        method, request, _metadata(token, needs_leader=leader), deadline
                    )
                except TokenRefusedError as exc:
                    self._login.renew(token, exc)
                token = self._token(deadline, needs_leader=leader)
                return self._ask(method, request, _metadata(token, needs_leader=leader), deadline)
            except PermissionDeniedError as exc:
                permission = "readwrite" if method.writes or to_write else "read"
                raise self.explain(exc, permission, request) from exc

    def open_bidi(
        self, method: Method[Request, Response], requests: Iterator[Request]
    ) -> tuple[Member, ResponseStream[Response]]:
        """
        Call *method* with any number of *requests*; return the member and its responses.

        Raises:
            EtcdError: No member can be called.
        """
        member, metadata = self._prepare_stream()
        call = member.channel.stream_stream(method.path, *_formats(method))
        with threads_of_a_call():
            return member, self._start_stream(member, lambda: call(requests, metadata=metadata))

    def open_single_request(
        self, method: Method[Request, Response], request: Callable[[], Request]
    ) -> tuple[Member, ResponseStream[Response]]:
        """
        Do the same with one *request*, which is made when there is a member to call.

        The thread that iterates reads the responses itself, if the channel has that option. So it
        has to `drain` the call at the end.
        """
        member, metadata = self._prepare_stream()
        call = member.channel.unary_stream(method.path, *_formats(method))
        return member, self._start_stream(member, lambda: call(request(), metadata=metadata))

    def explain(
        self, denied: PermissionDeniedError, permission: str, request: Message
    ) -> PermissionDeniedError:
        """Return *denied* with the user, and the keys of *request* that need *permission*."""
        return explain_denial(denied, self._login.name, permission, request)

    def leave(self, member: Member) -> None:
        """Use another one from now on."""
        self._members.leave(member)

    def close(self) -> None:
        """End all pauses between attempts."""
        self._closing.set()
        self._login.close()

    def after_fork(self) -> None:
        """Pause without a lock that a thread of the parent may hold: see `fork`."""
        closing, self._closing = self._closing, threading.Event()
        if closing.is_set():
            self._closing.set()

    def _token(self, deadline: Deadline, *, needs_leader: bool) -> str | None:
        try:
            return self._login.token(deadline)
        except NotNowError:
            if needs_leader:
                raise
            return None  # a login needs a leader; what needs none can be asked without a login

    def _prepare_stream(self) -> tuple[Member, _Metadata]:
        with within(self._total) as deadline:
            token = self._login.token(deadline)
            return self._current(deadline), _metadata(token, needs_leader=True)

    def _current(self, deadline: Deadline) -> Member:
        try:
            return self._members.current(deadline)
        except RuntimeError as exc:  # gRPC could not start the thread that watches a connection
            raise no_thread(exc) from exc

    def _start_stream(
        self, member: Member, start: Callable[[], ResponseStream[Response]]
    ) -> ResponseStream[Response]:
        """
        Return the call that *start* starts on *member*.

        gRPC starts threads for it. If it can't start the one of the channel, it remembers it as
        started all the same, and no later stream on this channel would ever get a response. So the
        channel has to be given up.
        """
        try:
            return start()
        except ValueError as exc:  # what gRPC raises for a channel that was closed
            raise ClientClosedError from exc
        except RuntimeError as exc:
            self._members.leave(member)
            raise no_thread(exc) from exc

    def _pause(self, failures: int, left: float) -> None:
        # Half of what is left: the time must not end in a pause, with an attempt still to make.
        self._closing.wait(min(full_jitter(failures, MAX_PAUSE), left / 2))

    def _ask(
        self,
        method: Method[Request, Response],
        request: Request,
        metadata: _Metadata,
        deadline: Deadline,
    ) -> Response:
        # A member that froze after it was ready must leave a read time for another one.
        share = 1.0 if method.writes or self._members.alone else 0.5
        # A learner serves nothing, like an endpoint that is down: the search for another ends, too.
        search = Deadline(self._dial_timeout)
        failures = 0
        while True:
            member = self._current(deadline)
            timeout = share * min(self._command_timeout, deadline.left())
            if not timeout:
                # gRPC would report a deadline: for a write that may as well be a lost answer.
                raise ConnectionFailedError(
                    f"{member.name}: no time is left of {deadline.seconds:g}s, nothing was sent"
                )
            cause: grpc.RpcError | None = None
            try:
                response = _send(member, method, request, metadata, timeout)
            except grpc.RpcError as exc:
                size = request.ByteSize()
                failure = classify(exc, member.name, writes=method.writes, sent=size)
                cause = exc
            else:
                fault = method.fault_of(request, response)
                if not fault:
                    return response
                failure = invalid(fault, member.name, writes=method.writes)
            if failure.leave:
                self._members.leave(member)
            in_vain = isinstance(failure.error, LearnerError) and not search.left()
            if not failure.repeat or in_vain or deadline.left() < FIRST_PAUSE:
                try:
                    raise failure.error from cause
                finally:
                    # The traceback holds this frame. With the error in it, that would be a cycle,
                    # and the connection would last until the garbage collector runs; with the
                    # member in it, as long as the caller has the error. gRPC would connect it again
                    # and again.
                    del failure, cause, member
            # Neither may be in the frame when no other member is found.
            del failure, cause, member
            self._pause(failures, deadline.left())
            failures += 1
            share = 1.0


def _send(
    member: Member,
    method: Method[Request, Response],
    request: Request,
    metadata: _Metadata,
    timeout: float,
) -> Response:
    call: grpc.UnaryUnaryMultiCallable[Request, Response] = member.unary(
        method.path, method.request.SerializeToString, method.response.FromString
    )
    try:
        return call(request, timeout=timeout, metadata=metadata)
    except ValueError as exc:  # what gRPC raises for a channel that was closed
        raise ClientClosedError from exc


def _formats(
    method: Method[Request, Response],
) -> tuple[Callable[[Request], bytes], Callable[[bytes], Response]]:
    decode = cast("Callable[[bytes], Response]", method.response.FromString)
    return method.request.SerializeToString, decode


def _metadata(token: str | None, *, needs_leader: bool) -> _Metadata:
    headers = (REQUIRE_LEADER,) if needs_leader else ()
    return (*headers, ("token", token)) if token else headers
