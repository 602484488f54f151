"""The answers of one watch, on a stream that may carry many."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, TypeAlias

from ..errors import ClosedError
from . import rpc_pb2 as rpc

__all__ = ["Carrier", "WatchAgainError", "WatchSubstream"]

DEFAULT_MAX_BYTES = 4 << 20
"""Bytes of answers that are kept for a watch, unless its owner changes `max_bytes`."""

Handler: TypeAlias = Callable[[rpc.WatchResponse], bool]


class WatchAgainError(Exception):
    """Nothing was lost: open the watch again, and all changes come, perhaps in another way."""


class Carrier(Protocol):
    """The stream of a watch."""

    member: str
    """The name of the member that was called; empty before."""

    def create_time_left(self) -> float:
        """Return the seconds that etcd has left to accept this watch."""

    def leave(self) -> None:
        """Carry no more watches, and use another member from now on."""

    def drop(self, watch: WatchSubstream) -> None:
        """Carry *watch* no further."""


class WatchSubstream:
    """
    The answers to *create*: the thread of *carrier* puts them in, the thread of the owner takes.

    At most `max_bytes` of answers are kept; an owner that takes more slowly has to open the watch
    again.

    To pass an answer from one thread to another costs more time than all that is done with it. So
    while the owner waits in `take`, and no older answer is left, the thread of the carrier calls
    the owner's handler.

    `_changed` guards everything, and is held while the handler runs: that is what keeps the answers
    in order, and why the owner's state needs no other lock. So the handler must neither wait nor
    call a method of this object. `close` calls the carrier without it: the lock of the carrier
    comes before this one.
    """

    def __init__(self, carrier: Carrier, create: rpc.WatchCreateRequest) -> None:
        self.create = create
        self.max_bytes = DEFAULT_MAX_BYTES
        self._carrier = carrier
        self._changed = threading.Condition()
        self._answers: deque[rpc.WatchResponse] = deque()
        self._size = 0
        self._handler: Handler | None = None
        self._closed = False
        self._end: Exception | None = None

    def __enter__(self) -> WatchSubstream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def member(self) -> str:
        """Return the name of the member that answers."""
        return self._carrier.member

    def first(self) -> rpc.WatchResponse | None:
        """Return the first answer, as `take`; ``None`` if etcd has not accepted in time."""
        while left := self._carrier.create_time_left():
            if answer := self.take(left):
                return answer
        return self.take(0)

    def take(self, timeout: float, handler: Handler | None = None) -> rpc.WatchResponse | None:
        """
        Return the next answer; ``None`` if there is none for *timeout* seconds.

        Meanwhile *handler* is called with each answer, by the thread of the carrier, which it must
        not keep waiting. An answer for which it returns false is returned here.

        Raises:
            EtcdError: The stream has ended.
            WatchAgainError: More than `max_bytes` were not taken.
            ClosedError: By `close`.
        """
        with self._changed:
            self._handler = handler
            self._changed.wait_for(lambda: self._closed or self._answers or self._end, timeout)
            self._handler = None
            if self._closed:
                raise ClosedError
            if self._answers:
                answer = self._answers.popleft()
                self._size -= answer.ByteSize()
                return answer
            if self._end:
                raise self._end
            return None

    def leave(self) -> None:
        """Use another member from now on."""
        self._carrier.leave()

    def close(self) -> None:
        """End it, at once and from any thread."""
        with self._changed:
            self._closed, self._end = True, None
            self._answers.clear()
            self._changed.notify_all()
        self._carrier.drop(self)

    def put(self, answer: rpc.WatchResponse) -> bool:
        """Add *answer*; return whether there is room for more."""
        with self._changed:
            if self._is_handled(answer):
                return True
            self._answers.append(answer)
            self._size += answer.ByteSize()
            self._changed.notify_all()
            # All fragments of a revision are kept, whatever their size: a watch that is opened
            # again begins with the first fragment, and would never come to the last.
            if self._size < self.max_bytes or answer.fragment:
                return True
        self.end(WatchAgainError())
        return False

    def end(self, exc: Exception) -> None:
        """Raise *exc* after the last answer."""
        with self._changed:
            self._end = self._end or (None if self._closed else exc)
            self._changed.notify_all()

    def _is_handled(self, answer: rpc.WatchResponse) -> bool:
        try:
            return self._handler is not None and not self._answers and self._handler(answer)
        except Exception as exc:  # noqa: BLE001 - an error of the owner must not end the carrier
            self._end = exc
            self._changed.notify_all()
            return True
