"""A bounded queue between two threads that either of them can close."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from ..errors import ClosedError

__all__ = ["Mailbox"]

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """
    Items in order; who puts waits while *size* of them lie there, so that memory is bounded.

    One thread puts. The queue itself is C, and wakes whoever gets in half the time of a condition;
    only who puts too much waits for `_taken`.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: SimpleQueue[Item | None] = SimpleQueue()
        self._closed = self._waiting = False
        self._taken = threading.Condition()

    @property
    def closed(self) -> bool:
        """Say whether nobody takes any more."""
        return self._closed

    @property
    def has_room(self) -> bool:
        """Say whether who puts something now would not wait."""
        return self._closed or self._items.qsize() < self._size

    def put(self, item: Item) -> None:
        """
        Add *item*, when there is room for it.

        Raises:
            ClosedError: Nobody will ever take it.
        """
        if not self.has_room:
            self._wait_for_room()
        if self._closed:
            raise ClosedError
        self._items.put(item)

    def get(self, timeout: float | None = None) -> Item | None:
        """
        Return the next item; ``None`` if there was none for *timeout* seconds.

        Raises:
            ClosedError: At once, whatever was left in it.
        """
        try:
            item = self._items.get(timeout=timeout)
        except Empty:
            item = None
        if self._closed:
            self._items.put(None)  # wakes the next one who gets
            raise ClosedError
        if self._waiting:
            self._tell()
        return item

    def close(self) -> None:
        """Wake everybody who waits."""
        self._closed = True
        self._items.put(None)
        self._tell()

    def _wait_for_room(self) -> None:
        with self._taken:
            self._waiting = True  # before looking again: who gets something meanwhile will tell
            self._taken.wait_for(lambda: self.has_room)
            self._waiting = False

    def _tell(self) -> None:
        with self._taken:
            self._taken.notify_all()
