"""The thread that owns the screen: it draws when it is told to, but no more often than one sees."""

from __future__ import annotations

import enum
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from .screen import Screen

__all__ = ["Frame", "Order", "Painter"]

PAUSE = 0.1
"""Seconds from one picture to the next."""

PATIENCE = 2.0
"""Seconds for a terminal that takes nothing, before we go on without it."""

Frame = Callable[[os.terminal_size, bool], tuple[str, float]]
"""
Returns a picture for a size of the terminal, and for how many seconds it is right by itself.

It is told whether that is the last one, which stays when the terminal is given back.
"""


class Order(enum.Enum):
    """What the painter can be told."""

    DRAW = enum.auto()
    RESIZE = enum.auto()
    SUSPEND = enum.auto()
    RESUME = enum.auto()
    END = enum.auto()


class Painter:
    """Shows what *frame* returns. All but what is told and answered belongs to its thread."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._screen = Screen()
        # A handler of signals may use this kind, whatever it has interrupted.
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._away: SimpleQueue[None] = SimpleQueue()
        self._over: SimpleQueue[None] = SimpleQueue()
        self._is_begun = self._is_woken = self._is_over = False
        self._due = self._earliest = 0.0
        self.failure: Exception | None = None
        """Why nothing is drawn any more."""

    def start(self) -> None:
        """Take the terminal."""
        self._is_begun = True
        threading.Thread(target=self._run, name="etcdnaming-painter", daemon=True).start()

    def wake(self) -> None:
        """Draw soon, and once for many that say so; for any thread."""
        if not self._is_woken:
            self._is_woken = True
            self._orders.put(Order.DRAW)

    def tell(self, order: Order) -> None:
        """Take an order, from a handler of signals too."""
        self._orders.put(order)

    def give_way(self) -> None:
        """Give the terminal back for now; for a handler of signals."""
        self._orders.put(Order.SUSPEND)
        with suppress(Empty):
            self._away.get(timeout=PATIENCE)

    def end(self) -> None:
        """Give it back for good, with the last picture on it; for a handler of signals too."""
        if self._is_begun and not self._is_over:
            self._orders.put(Order.END)
            with suppress(Empty):
                self._over.get(timeout=PATIENCE)

    def _run(self) -> None:
        last = ""
        try:
            self._screen.enter()
            while (order := self._next()) is not Order.END:
                self._obey(order)
            last, _ = self._frame(self._screen.size(), True)
        except Exception as exc:  # noqa: BLE001 - is raised by whoever tells us what to draw
            self.failure = exc
        with suppress(OSError):
            self._screen.leave(last)
        self._is_over = True
        self._over.put(None)

    def _next(self) -> Order | None:
        """Return the next order; ``None`` when it is time to draw."""
        left = self._due - time.monotonic()
        try:
            return self._orders.get(timeout=None if left == math.inf else max(0.0, left))
        except Empty:
            return None

    def _obey(self, order: Order | None) -> None:
        if order is Order.DRAW:
            self._is_woken = False
            self._due = min(self._due, self._earliest)
        elif order is Order.RESIZE:
            self._screen.clear()
            self._due = 0.0
        elif order is Order.SUSPEND:
            self._screen.leave()
            self._due = self._earliest = math.inf
            self._away.put(None)
        elif order is Order.RESUME:
            self._screen.enter()
            self._due = 0.0
        else:
            self._draw()

    def _draw(self) -> None:
        text, lasts = self._frame(self._screen.size(), False)
        self._screen.show(text)
        now = time.monotonic()
        self._earliest, self._due = now + PAUSE, now + lasts
