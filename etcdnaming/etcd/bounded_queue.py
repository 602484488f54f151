"""A bounded queue between two threads that either of them can close."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from ..errors import ClosedError

__all__ = ["BoundedQueue"]

Item = TypeVar("Item")


class BoundedQueue(Generic[Item]):
    """
    Items in order. *size* bounds the memory they take: `put` waits while they have that size.

    An item has the size 1, or the one it was added with. One thread puts or adds, one gets. The
    queue itself is C, and wakes the thread that gets in half the time of a condition; only a thread
    that puts too much waits for `_taken`.
    """

    def __init__(self, size: int) -> None:
        self._max_size = size
        self._items: SimpleQueue[tuple[Item | None, int]] = SimpleQueue()
        # Each has one thread that writes it, so the queue needs no lock.
        self._added_size = self._taken_size = 0
        self._closed = self._waiting = False
        self._taken = threading.Condition()

    @property
    def closed(self) -> bool:
        """Return whether it is closed."""
        return self._closed

    @property
    def size(self) -> int:
        """Return the size of all items."""
        return self._added_size - self._taken_size

    @property
    def has_room(self) -> bool:
        """Return whether `put` would not wait now."""
        return self._closed or self.size < self._max_size

    def put(self, item: Item) -> None:
        """
        Add *item*, when there is room for it.

        Raises:
            ClosedError: By `close`.
        """
        if not self.has_room:
            self._wait_for_room()
        if self._closed:
            raise ClosedError
        self.add(item, 1)

    def add(self, item: Item, size: int) -> None:
        """Add *item*, whether or not there is room for it; after `close` it is dropped."""
        self._added_size += size
        self._items.put((item, size))

    def get(self, timeout: float | None = None) -> Item | None:
        """
        Return the next item; ``None`` if there was none for *timeout* seconds.

        Raises:
            ClosedError: By `close`, at once; the items that are left are dropped.
        """
        try:
            item, size = self._items.get(timeout=timeout)
        except Empty:
            item, size = None, 0
        if self._closed:
            self._items.put((None, 0))  # wakes the next thread that gets
            raise ClosedError
        self._taken_size += size
        if self._waiting:
            self._notify()
        return item

    def close(self) -> None:
        """Close it, and wake all threads that wait."""
        self._closed = True
        self._items.put((None, 0))
        self._notify()

    def _wait_for_room(self) -> None:
        with self._taken:
            # Set before the size is read again: a thread that gets an item after that notifies,
            # and one that got it earlier has made the room already.
            self._waiting = True
            self._taken.wait_for(lambda: self.has_room)
            self._waiting = False

    def _notify(self) -> None:
        with self._taken:
            self._taken.notify_all()
