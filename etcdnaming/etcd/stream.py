"""One long call of etcd: its answers are taken with a deadline, and it ends when told to."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from ..errors import ClosedError, ConnectionFailedError
from .answers import understand
from .calls import Caller, Method

__all__ = ["Answers", "Stream"]

AHEAD = 16
"""Answers that are read before they are taken; beyond that gRPC lets etcd wait."""

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Answer_co = TypeVar("Answer_co", covariant=True)


class Answers(Protocol[Answer_co]):
    """A call under way."""

    def __iter__(self) -> Iterator[Answer_co]:
        """Wait for one after the other."""

    def cancel(self) -> object:
        """End it."""


class Stream(Generic[Request, Response]):
    """
    A call of *method* that sends *request* and stays open.

    A thread of its own reads the answers. At first they wait to be taken; later that thread hands
    them on itself, for each hand costs time. All state belongs to `still`, and so does what they
    are handed to: whoever holds it knows that nothing is handed on meanwhile.

    Raises:
        EtcdError: There is no member to call.
    """

    def __init__(self, caller: Caller, method: Method[Request, Response], request: Request) -> None:
        self._caller = caller
        self._requests = _OneRequest(request)
        self.still = threading.Condition()
        self._answers: deque[Response] = deque()
        self._hear: Callable[[Response], None] | None = None
        self._heard = 0
        self._is_stopped = False
        self._ended = threading.Event()
        self._end: Exception = ClosedError()
        self.member, self._call = caller.stream(method, self._requests)
        threading.Thread(target=self._read, name="etcdnaming-stream", daemon=True).start()

    def __enter__(self) -> Stream[Request, Response]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def take(self, timeout: float) -> Response | None:
        """
        Return the next answer; ``None`` if there is none for *timeout* seconds.

        Raises:
            EtcdError: The call has ended.
            ClosedError: We have ended it.
        """
        with self.still:
            self.still.wait_for(lambda: self._answers or self._ended.is_set(), timeout)
            if self._is_stopped:
                raise ClosedError
            if self._answers:
                self.still.notify_all()
                return self._answers.popleft()
            self.wait(0)
            return None

    def hear(self, hear: Callable[[Response], None]) -> None:
        """Hand on to *hear* all answers that were not taken, and from now on those that come."""
        with self.still:
            while self._answers:
                hear(self._answers.popleft())
            self._hear = hear
            self.still.notify_all()

    def hear_another(self, timeout: float) -> bool:
        """Say whether an answer is handed on within *timeout* seconds; raises as `take` does."""
        with self.still:
            heard = self._heard
            self.still.wait_for(lambda: self._heard > heard or self._ended.is_set(), timeout)
            self.wait(0)
            return self._heard > heard

    def wait(self, timeout: float) -> None:
        """Return after *timeout* seconds, unless the call ends before: raises as `take` does."""
        if self._ended.wait(timeout):
            try:
                raise self._end
            finally:
                self._end = ClosedError()  # through its traceback it would keep the connection

    def leave(self) -> None:
        """Use another member from now on."""
        self._caller.leave(self.member)

    def stop(self) -> None:
        """End the call, at once and from any thread."""
        self._is_stopped = True
        self._requests.end()
        self._call.cancel()

    def close(self) -> None:
        """End it; nothing is handed on after that. Only its owner has the time to wait for that."""
        self.stop()
        with self.still:
            self.still.notify_all()

    def _read(self) -> None:
        end = self._read_to_the_end()
        with self.still:
            self._end = end
            self._ended.set()
            self.still.notify_all()

    def _read_to_the_end(self) -> Exception:
        try:
            for answer in self._call:
                self._pass_on(answer)
        except grpc.RpcError as exc:
            if self._is_stopped:  # it was us who ended it: the member is as good as before
                return ClosedError()
            said = understand(exc, self.member.name, writes=False)
            if said.leave:
                self.leave()
            return said.error
        except Exception as exc:  # noqa: BLE001 - who hears has had enough; the owner is told why
            self._call.cancel()
            return exc
        self.leave()
        return ConnectionFailedError(f"{self.member.name}: connection ended")

    def _pass_on(self, answer: Response) -> None:
        with self.still:
            self.still.wait_for(self._has_room)
            if self._is_stopped:
                raise ClosedError
            if self._hear:
                self._hear(answer)
                self._heard += 1
            else:
                self._answers.append(answer)
            self.still.notify_all()

    def _has_room(self) -> bool:
        return self._is_stopped or self._hear is not None or len(self._answers) < AHEAD


class _OneRequest(Generic[Request]):
    """Yields *request*, then nothing until the call is over: the sending side stays open."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._ended = threading.Event()

    def __iter__(self) -> Iterator[Request]:
        yield self._request
        self._ended.wait()

    def end(self) -> None:
        self._ended.set()
