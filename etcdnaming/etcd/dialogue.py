"""A long call of etcd in which both sides speak; it is made again whenever it ends."""

from __future__ import annotations

import random
import threading
from functools import partial
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from ..errors import AuthenticationError, ConnectionFailedError, EtcdError
from .answers import InvalidAnswerError, TokenRefusedError, understand
from .calls import Answers, Caller, Method
from .deadline import Deadline
from .members import Member
from .threads import full_jitter, run_steps, start_thread

__all__ = ["Dialogue", "Listener"]

LONGEST_PAUSE = 2.0
"""Seconds between calls, at most: none before the second, then more each time."""

REFUSED_PAUSE = 30.0
"""Seconds until a login that was refused is tried again."""

STEADY = 5.0
"""Seconds a call must last for the pauses to begin again with the first."""

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Response_contra = TypeVar("Response_contra", bound=Message, contravariant=True)


class Listener(Protocol[Response_contra]):
    """Is told by the dialogue's own thread, of one thing after another."""

    def opened(self) -> None:
        """Etcd is called, perhaps again: what was said before is forgotten on both sides."""

    def received(self, response: Response_contra) -> None:
        """Etcd said something; an `EtcdError` that this raises ends the call."""

    def broken(self, exc: EtcdError) -> None:
        """The call has ended, or could not be made."""


class Dialogue(Generic[Request, Response]):
    """
    A call of *method* that lasts until it is closed, on one member after another.

    A thread of its own calls and listens; any other may speak. `_lock` guards `_call` and
    `_closed`, so that nobody is called after the end.

    Raises:
        ConnectionFailedError: No thread can be started now.
    """

    def __init__(
        self,
        caller: Caller,
        method: Method[Request, Response],
        listener: Listener[Response],
        name: str,
    ) -> None:
        self._caller, self._method, self._listener = caller, method, listener
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._call: _Call[Request, Response] | None = None
        self._failures = 0
        start_thread(partial(run_steps, self._call_once, self._closed.wait), name)

    def say(self, request: Request) -> None:
        """Send *request*, if there is a call; if not, the listener hears of the next."""
        call = self._call
        if call:
            call.requests.put(request)

    def call_another(self) -> None:
        """Give up the member that is called, because it is silent."""
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
            self._hold(self._open())
        except Exception as exc:  # noqa: BLE001 - whatever it is, etcd has to be called again
            if not self._closed.is_set():
                self._break(exc)
        return True

    def _break(self, exc: Exception) -> None:
        if isinstance(exc, EtcdError):
            self._listener.broken(exc)
            self._pause(exc)
        else:
            # Whatever it was, the call is over, and the listener must not take it for open.
            self._listener.broken(ConnectionFailedError(str(exc)))
            raise exc

    def _open(self) -> _Call[Request, Response]:
        requests: SimpleQueue[Request | None] = SimpleQueue()
        member, answers = self._caller.stream(self._method, iter(requests.get, None))
        call = _Call(member, answers, requests)
        with self._lock:
            self._call = call
            if self._closed.is_set():
                call.end()
        return call

    def _hold(self, call: _Call[Request, Response]) -> None:
        """Listen until the call ends."""
        steady = Deadline(STEADY)
        try:
            self._listener.opened()
            for response in call.answers:
                self._listener.received(response)
        except grpc.RpcError as exc:
            raise self._end_of(call, exc) from exc
        except InvalidAnswerError as exc:
            self._caller.leave(call.member)
            raise InvalidAnswerError(exc.fault, call.member.name) from exc
        finally:
            self._call = None
            call.end()
            if not steady.left():
                self._failures = 0
        self._caller.leave(call.member)
        raise ConnectionFailedError(f"{call.member.name}: connection ended")

    def _end_of(self, call: _Call[Request, Response], exc: grpc.RpcError) -> EtcdError:
        said = understand(exc, call.member.name, writes=False)
        if said.leave and not self._closed.is_set():
            self._caller.leave(call.member)
        if call.silent:
            return ConnectionFailedError(f"{call.member.name}: no answer")
        return said.error

    def _pause(self, exc: EtcdError) -> None:
        if isinstance(exc, AuthenticationError) and not isinstance(exc, TokenRefusedError):
            self._closed.wait(REFUSED_PAUSE * random.uniform(0.9, 1.1))
        elif self._failures:
            self._closed.wait(full_jitter(self._failures, LONGEST_PAUSE))
        self._failures += 1


class _Call(Generic[Request, Response]):
    """One call. *silent*: we have ended it, because nothing was heard."""

    def __init__(
        self,
        member: Member,
        answers: Answers[Response],
        requests: SimpleQueue[Request | None],
    ) -> None:
        self.member, self.answers, self.requests = member, answers, requests
        self.silent = False

    def end(self) -> None:
        self.requests.put(None)
        self.answers.cancel()
