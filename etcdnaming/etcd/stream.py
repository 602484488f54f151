"""One long call of etcd: its answers are taken with a deadline, and it ends when told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from ..errors import ClosedError, ConnectionFailedError, EtcdError
from .answers import understand
from .calls import Caller, Method
from .mailbox import Mailbox

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

    A thread of its own reads the answers; taking, leaving and closing are the owner's.

    Raises:
        EtcdError: There is no member to call.
    """

    def __init__(self, caller: Caller, method: Method[Request, Response], request: Request) -> None:
        self._caller = caller
        self._requests = _OneRequest(request)
        self._answers: Mailbox[Response | EtcdError] = Mailbox(AHEAD)
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
        answer = self._answers.get(timeout)
        if isinstance(answer, EtcdError):
            raise answer
        return answer

    def leave(self) -> None:
        """Use another member from now on."""
        self._caller.leave(self.member)

    def close(self) -> None:
        """End the call, at once and from any thread."""
        self._answers.close()
        self._requests.end()
        self._call.cancel()

    def _read(self) -> None:
        try:
            self._answers.put(self._read_to_the_end())
        except ClosedError:
            self._call.cancel()

    def _read_to_the_end(self) -> EtcdError:
        try:
            for answer in self._call:
                self._answers.put(answer)
        except grpc.RpcError as exc:
            if self._answers.closed:  # it was us who ended it: the member is as good as before
                raise ClosedError from exc
            said = understand(exc, self.member.name, writes=False)
            if said.leave:
                self.leave()
            return said.error
        self.leave()
        return ConnectionFailedError(f"{self.member.name}: connection ended")


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
