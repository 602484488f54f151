"""Draw the live table: a thread that owns the terminal and limits how often it is redrawn."""

from __future__ import annotations

import enum
import math
import os
import sys
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from .streams import flush, terminal_size, write

__all__ = ["Frame", "Order", "Painter"]

MIN_INTERVAL = 0.1
"""Seconds between two frames."""

TERMINAL_TIMEOUT = 2.0
"""Seconds for a terminal that accepts no output, before the process goes on without it."""

ENTER, CLEAR, HIDE_CURSOR = "\x1b[?1049h", "\x1b[2J", "\x1b[?25l"
SHOW_CURSOR, LEAVE = "\x1b[?25h", "\x1b[?1049l"
RAW = termios.ECHO | termios.ICANON
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"

Frame = Callable[[os.terminal_size, bool], tuple[str, float]]
"""
Returns the text for a size of the terminal, and the seconds until it changes by itself.

The second argument is true for the last frame, which remains when the terminal is released.
"""


class Order(enum.Enum):
    """The orders to the painter."""

    DRAW = enum.auto()
    RESIZE = enum.auto()
    SUSPEND = enum.auto()
    RESUME = enum.auto()
    END = enum.auto()


class Painter:
    """
    Draws the frames that *frame* returns.

    Its thread owns all state except the queues. Signal handlers may call `order`, `suspend` and
    `end`: a `SimpleQueue` is reentrant, so it works whatever code the handler has interrupted.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._screen = _Screen()
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._suspended: SimpleQueue[None] = SimpleQueue()
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._is_started = self._is_draw_ordered = self._is_over = False
        self._due = self._earliest = 0.0
        self.failure: Exception | None = None
        """The error that has stopped the drawing."""

    def start(self) -> None:
        """Take over the terminal."""
        self._is_started = True
        threading.Thread(target=self._run, name="etcdnaming-painter", daemon=True).start()

    def wake(self) -> None:
        """Draw a frame soon, one for many calls; callable from any thread."""
        if not self._is_draw_ordered:
            self._is_draw_ordered = True
            self._orders.put(Order.DRAW)

    def order(self, order: Order) -> None:
        """Execute *order* soon."""
        self._orders.put(order)

    def suspend(self) -> None:
        """Release the terminal for now, and wait until that is done."""
        self._orders.put(Order.SUSPEND)
        with suppress(Empty):
            self._suspended.get(timeout=TERMINAL_TIMEOUT)

    def end(self) -> None:
        """Release the terminal for good, with the last frame on it."""
        if self._is_started and not self._is_over:
            self._orders.put(Order.END)
            with suppress(Empty):
                self._ended.get(timeout=TERMINAL_TIMEOUT)

    def _run(self) -> None:
        last = ""
        try:
            self._screen.enter()
            while (order := self._next()) is not Order.END:
                self._execute(order)
            last, _ = self._frame(self._screen.size(), True)
        except Exception as exc:  # noqa: BLE001 - the next call of `LiveTable` raises it
            self.failure = exc
        with suppress(OSError):
            self._screen.leave(last)
        self._is_over = True
        self._ended.put(None)

    def _next(self) -> Order | None:
        """Return the next order; ``None`` when it is time to draw."""
        left = self._due - time.monotonic()
        try:
            return self._orders.get(timeout=None if left == math.inf else max(0.0, left))
        except Empty:
            return None

    def _execute(self, order: Order | None) -> None:
        if order is Order.DRAW:
            self._is_draw_ordered = False
            self._due = min(self._due, self._earliest)
        elif order is Order.RESIZE:
            self._screen.clear()
            self._due = 0.0
        elif order is Order.SUSPEND:
            self._screen.leave()
            self._due = self._earliest = math.inf
            self._suspended.put(None)
        elif order is Order.RESUME:
            self._screen.enter()
            self._due = 0.0
        else:
            self._draw()

    def _draw(self) -> None:
        text, lasts = self._frame(self._screen.size(), False)
        self._screen.show(text)
        now = time.monotonic()
        self._earliest, self._due = now + MIN_INTERVAL, now + lasts


class _Screen:
    """
    The terminal's alternate screen, without cursor and echo; a key is read once it is pressed.

    It belongs to the painter's thread.

    While it is not entered, nothing is drawn. After `leave`, the terminal is as it was before.
    """

    def __init__(self) -> None:
        self._is_entered = False
        self._cleared = 0
        self._least: bytes | int = 1

    def enter(self) -> None:
        """Switch to the alternate screen."""
        self._is_entered = True
        self._set_modes(on=False)
        _write(ENTER + CLEAR + HIDE_CURSOR)

    def leave(self, text: str = "") -> None:
        """Switch back, if it is entered, and print *text*."""
        if self._is_entered:
            self._is_entered = False
            self._set_modes(on=True)
            _write(CLEAR + SHOW_CURSOR + LEAVE)  # tmux keeps parts of a screen that is not cleared
        _write(text)

    def clear(self) -> None:
        """Remove a frame that was drawn for another size."""
        if self._is_entered:
            _write(CLEAR)

    def show(self, text: str) -> None:
        """Draw the lines of *text* over the previous frame."""
        if self._is_entered:
            lines = text.rstrip("\n").replace("\n", f"{CLEAR_LINE}\n")
            _write(HOME + lines + CLEAR_BELOW)

    def size(self) -> os.terminal_size:
        """Return the current columns and lines; the environment is ignored."""
        return terminal_size(sys.stdout.fileno())

    def _set_modes(self, *, on: bool) -> None:
        """
        Disable echo and line mode, or restore them: typed characters would appear in the table.

        Several calls may disable them before one restores them: a shell may have enabled them
        while this process was stopped.
        """
        with suppress(termios.error, ValueError, AttributeError):  # stdin is not a terminal
            modes = termios.tcgetattr(sys.stdin)
            flags, control = modes[3], modes[6]
            if on:
                modes[3] |= self._cleared
                if self._cleared & termios.ICANON:
                    control[termios.VMIN] = self._least
                self._cleared = 0
            else:
                if flags & termios.ICANON:
                    self._least, control[termios.VMIN] = control[termios.VMIN], 1
                self._cleared |= flags & RAW
                modes[3] &= ~RAW
            termios.tcsetattr(sys.stdin, termios.TCSANOW, modes)


def _write(text: str) -> None:
    write([text])
    flush()
