"""What etcd says of one watch, on a stream that carries many."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, TypeAlias

from ..errors import ClosedError
from . import rpc_pb2 as rpc

__all__ = ["AskAgainError", "Carrier", "Substream"]

ROOM = 4 << 20
"""Bytes of answers that are kept for a watch, unless its owner says otherwise."""


Hear: TypeAlias = Callable[[rpc.WatchResponse], bool]


class AskAgainError(Exception):
    """Nothing was lost: what is not kept, or not carried in this way, can be asked for again."""


class Carrier(Protocol):
    """The stream that carries it."""

    member: str
    """Who was called; empty as long as nobody was."""

    def patience(self) -> float:
        """Return the seconds it may still take until this watch is accepted."""

    def leave(self) -> None:
        """Carry nothing new, and use another member from now on."""

    def drop(self, substream: Substream) -> None:
        """Carry it no further."""


class Substream:
    """
    The answers to *create*: the thread of *carrier* puts them in, its owner's takes them.

    So many bytes as it has *room* for are kept; who takes them more slowly is carried no further.

    `_changed` guards everything. An answer that goes from thread to thread costs more time than all
    that is done with it. So as long as the owner waits, and has nothing to catch up with, he may
    let the carrier's thread do his work.
    """

    def __init__(self, carrier: Carrier, create: rpc.WatchCreateRequest) -> None:
        self.create = create
        self.room = ROOM
        self._carrier = carrier
        self._changed = threading.Condition()
        self._answers: deque[rpc.WatchResponse] = deque()
        self._size = 0
        self._hear: Hear | None = None
        self._closed = False
        self._end: Exception | None = None

    def __enter__(self) -> Substream:
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
        """Who answers."""
        return self._carrier.member

    def first(self) -> rpc.WatchResponse | None:
        """Return the first answer, as `take`; ``None`` if it is too long in coming."""
        while left := self._carrier.patience():
            if answer := self.take(left):
                return answer
        return self.take(0)

    def take(self, timeout: float, hear: Hear | None = None) -> rpc.WatchResponse | None:
        """
        Return the next answer; ``None`` if there is none for *timeout* seconds.

        Meanwhile *hear* is called with each answer, by the thread of the carrier, which it must not
        keep waiting. An answer for which it does not return true is returned here.

        Raises:
            EtcdError: The stream has ended.
            AskAgainError: We have been too slow for it.
            ClosedError: We have closed it.
        """
        with self._changed:
            self._hear = hear
            self._changed.wait_for(lambda: self._closed or self._answers or self._end, timeout)
            self._hear = None
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
        """Add *answer*; say whether there is room for more."""
        with self._changed:
            if self._is_heard(answer):
                return True
            self._answers.append(answer)
            self._size += answer.ByteSize()
            self._changed.notify_all()
            # What comes in parts is kept whole: who begins anew begins with the first part.
            if self._size < self.room or answer.fragment:
                return True
        self.end(AskAgainError())
        return False

    def end(self, exc: Exception) -> None:
        """Let *exc* be what follows the last answer."""
        with self._changed:
            self._end = self._end or (None if self._closed else exc)
            self._changed.notify_all()

    def _is_heard(self, answer: rpc.WatchResponse) -> bool:
        try:
            return self._hear is not None and not self._answers and self._hear(answer)
        except Exception as exc:  # noqa: BLE001 - the owner's, and nothing to the carrier
            self._end = exc
            self._changed.notify_all()
            return True
