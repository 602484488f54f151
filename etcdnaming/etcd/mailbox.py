"""A bounded queue between two threads that either of them can close."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from ..errors import ClosedError

__all__ = ["Mailbox"]

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """
    Items in order; who puts waits while *size* of them lie there, so that memory is bounded.

    All state belongs to `_changed`.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[Item] = deque()
        self._closed = False
        self._changed = threading.Condition()

    @property
    def closed(self) -> bool:
        """Say whether nobody takes any more."""
        return self._closed

    @property
    def has_room(self) -> bool:
        """Say whether who puts something now, and is the only one, would not wait."""
        with self._changed:
            return self._closed or len(self._items) < self._size

    def put(self, item: Item) -> None:
        """
        Add *item*, when there is room for it.

        Raises:
            ClosedError: Nobody will ever take it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._size)
            if self._closed:
                raise ClosedError
            self._items.append(item)
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> Item | None:
        """
        Return the next item; ``None`` if there was none for *timeout* seconds.

        Raises:
            ClosedError: At once, whatever was left in it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items, timeout)
            if self._closed:
                raise ClosedError
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Wake everybody who waits."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
