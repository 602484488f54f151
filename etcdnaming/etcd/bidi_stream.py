"""The call that keeps leases alive: both sides send, and it is opened again whenever it ends."""

from __future__ import annotations

import threading
from functools import partial
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from ..errors import ConnectionFailedError, EtcdError, InvalidAnswerError
from .answers import classify
from .backoff import MAX_STREAM_PAUSE, Backoff
from .calls import Caller, Method, ResponseStream
from .members import Member
from .threads import run_steps, start_thread

__all__ = ["BidiHandler", "BidiStream"]

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Response_contra = TypeVar("Response_contra", bound=Message, contravariant=True)


class BidiHandler(Protocol[Response_contra]):
    """What a `BidiStream` calls, from its own thread and without a lock, one call at a time."""

    def opened(self) -> None:
        """Note that there is a new call: requests of the one before it are lost."""

    def received(self, response: Response_contra) -> None:
        """Handle *response*; an `EtcdError` ends the call."""

    def broken(self, exc: EtcdError) -> None:
        """Note that the call has ended, or could not be made."""


class BidiStream(Generic[Request, Response]):
    """
    A call of *method* that lasts until it is closed, on one member after another.

    A thread of its own calls and reads; any other may send. `_lock` guards `_call` and `_closed`,
    so that no member is called after the end. `send` and `switch_member` read `_call` without it:
    a call that has just ended ignores both. So they may be called with a lock that the handler
    takes, too.

    Raises:
        ConnectionFailedError: No thread can be started now.
    """

    def __init__(
        self,
        caller: Caller,
        method: Method[Request, Response],
        handler: BidiHandler[Response],
        name: str,
    ) -> None:
        self._caller, self._method, self._handler = caller, method, handler
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._call: _Call[Request, Response] | None = None
        self._backoff = Backoff(MAX_STREAM_PAUSE)
        start_thread(partial(run_steps, self._call_once, self._closed.wait), name)

    def send(self, request: Request) -> None:
        """Send *request*, if there is a call; if not, the handler is called with the next one."""
        call = self._call
        if call:
            call.requests.put(request)

    def switch_member(self) -> None:
        """End the call, whose member does not answer, and call another one."""
        call = self._call
        if call:
            call.silent = True
            call.end()

    def close(self) -> None:
        """End it, at once and from any thread."""
        with self._lock:
            self._closed.set()
            if self._call:
                self._call.end()

    def _call_once(self) -> bool:
        """Call until that ends, and pause; return whether there is to be another call."""
        if self._closed.is_set():
            return False
        try:
            self._read(self._open())
        except EtcdError as exc:
            if not self._closed.is_set():
                self._handler.broken(exc)
                self._closed.wait(self._backoff.pause_after(exc))
        except Exception as exc:
            # Whatever it was, the call is over, and the handler must not take it for open.
            if not self._closed.is_set():
                self._handler.broken(ConnectionFailedError(str(exc)))
                raise
        return True

    def _open(self) -> _Call[Request, Response]:
        requests: SimpleQueue[Request | None] = SimpleQueue()
        member, responses = self._caller.open_bidi(self._method, iter(requests.get, None))
        call = _Call(member, responses, requests)
        with self._lock:
            self._call = call
            if self._closed.is_set():
                call.end()
        return call

    def _read(self, call: _Call[Request, Response]) -> None:
        """Handle the responses until the call ends."""
        self._backoff.opened()
        try:
            self._handler.opened()
            for response in call.responses:
                self._handler.received(response)
        except grpc.RpcError as exc:
            raise self._failure(call, exc) from exc
        except InvalidAnswerError as exc:
            self._caller.leave(call.member)
            raise InvalidAnswerError(exc.fault, call.member.name) from exc
        finally:
            self._call = None
            call.end()
            self._backoff.ended()
        self._caller.leave(call.member)
        raise ConnectionFailedError(f"{call.member.name}: connection ended")

    def _failure(self, call: _Call[Request, Response], exc: grpc.RpcError) -> EtcdError:
        failure = classify(exc, call.member.name, writes=False)
        if failure.leave and not self._closed.is_set():
            self._caller.leave(call.member)
        if call.silent:
            return ConnectionFailedError(f"{call.member.name}: no answer")
        return failure.error


class _Call(Generic[Request, Response]):
    """One call. *silent*: we have ended it, because the member did not answer."""

    def __init__(
        self,
        member: Member,
        responses: ResponseStream[Response],
        requests: SimpleQueue[Request | None],
    ) -> None:
        self.member, self.responses, self.requests = member, responses, requests
        self.silent = False

    def end(self) -> None:
        self.requests.put(None)
        self.responses.cancel()
