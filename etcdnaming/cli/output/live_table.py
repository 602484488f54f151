"""Print ``watch -w table`` on a terminal: a table that is redrawn at every change."""

from __future__ import annotations

import math
import os
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

from ...errors import EtcdnamingError
from ...model import ChangeBatch, StoredEndpoint, WatchState
from .live_painter import Order, Painter
from .live_picture import Picture, prepare
from .streams import is_terminal

__all__ = ["LeaseTimes", "LiveTable"]

LEASE_INTERVAL = 5.0
"""Seconds between two requests for the remaining time of a lease."""

MAX_LEASES = 100
"""Leases whose remaining time is requested; each needs a request of its own."""

_KEY = re.compile(rb"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
"""What a terminal sends for a key."""

_END = 1 << 40  # more rows than there are

SCROLLING = {
    **dict.fromkeys((b"\x1b[A", b"\x1bOA", b"k"), (-1, 0)),
    **dict.fromkeys((b"\x1b[B", b"\x1bOB", b"j"), (1, 0)),
    **dict.fromkeys((b"\x1b[5~", b"b"), (0, -1)),
    **dict.fromkeys((b"\x1b[6~", b" "), (0, 1)),
    **dict.fromkeys((b"\x1b[H", b"\x1bOH", b"\x1b[1~", b"g"), (-_END, 0)),
    **dict.fromkeys((b"\x1b[F", b"\x1bOF", b"\x1b[4~", b"G"), (_END, 0)),
}
"""
The rows and pages that a key scrolls down: arrows, PgUp, PgDn, Home, End, and those of ``less``.

Terminals send one of several sequences for a key.
"""


class LiveTable:
    """
    Prints the batches of a watch. The main thread uses it, because it handles signals.

    Args:
        time_to_live: Returns the remaining seconds of a lease, -1 if it is gone.
        headers: Whether the table has a header line.
    """

    def __init__(
        self, target: str, time_to_live: Callable[[int], int], *, headers: bool = True
    ) -> None:
        self._picture = Picture(target, headers=headers)
        self._painter = Painter(self._frame)
        self._leases = LeaseTimes(time_to_live, self._painter.wake)
        self._handlers: dict[int, Any] = {}

    def print_batch(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Show the first set, or the changes."""
        self._picture.batch(batch, endpoints)
        self._draw()

    def print_state(self, state: WatchState) -> None:
        """Show whether the watch is connected."""
        self._picture.state(state)
        self._draw()

    def begin(self) -> None:
        """Take over the terminal."""
        # A signal may stop this thread for good inside an import. The painter must not wait for
        # the lock of that import then, so its imports are done before it starts.
        prepare()
        self._painter.start()
        self._leases.start()
        self._handle(signal.SIGWINCH, lambda *_: self._painter.order(Order.RESIZE))
        self._handle(signal.SIGTSTP, self._suspend)
        self._handle(signal.SIGCONT, lambda *_: self._painter.order(Order.RESUME))

    def read_keys(self, on_quit: Callable[[], None]) -> None:
        """Call *on_quit* in another thread when ``q`` is pressed; other keys scroll."""

        def on_key(key: bytes) -> None:
            if key == b"q":
                on_quit()
            elif key in SCROLLING:
                self._picture.scroll(*SCROLLING[key])
                self._painter.wake()

        if is_terminal(sys.stdin):
            threading.Thread(
                target=_read_keys, args=[on_key], name="etcdnaming-keys", daemon=True
            ).start()

    def end(self) -> None:
        """Release the terminal, with the last frame on it; also called from a signal handler."""
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        self._leases.end()
        self._painter.end()

    def _draw(self) -> None:
        if self._painter.failure:
            raise self._painter.failure
        self._painter.wake()

    def _frame(self, size: os.terminal_size, last: bool) -> tuple[str, float]:
        text, lasts = self._picture.draw(size, self._leases.remaining, last=last)
        self._leases.request(self._picture.leases)
        return text, lasts

    def _handle(self, signum: int, handler: Callable[[int, FrameType | None], Any]) -> None:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            self._handlers[signum] = signal.signal(signum, handler)

    def _suspend(self, signum: int, _: FrameType | None) -> None:
        """Stop as Ctrl-Z does by default, but release the terminal before."""
        self._painter.suspend()
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)  # returns when this process continues, or can't be stopped
        signal.signal(signum, self._suspend)
        self._painter.order(Order.RESUME)


def _read_keys(on_key: Callable[[bytes], None]) -> None:
    """Call *on_key* with each key that is typed."""
    descriptor = sys.stdin.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    with suppress(OSError):  # the terminal is gone
        while poll.poll() and (typed := os.read(descriptor, 256)):
            for key in _KEY.findall(typed):
                on_key(key)


class LeaseTimes:
    """
    Requests the remaining times of leases repeatedly, in its own thread, so nothing waits for it.

    `_changed` guards all state.

    Args:
        time_to_live: Returns the remaining seconds of a lease, -1 if it is gone.

        on_change: Called after some requests, each lease's first one at once.
    """

    def __init__(self, time_to_live: Callable[[int], int], on_change: Callable[[], None]) -> None:
        self._time_to_live, self._on_change = time_to_live, on_change
        self._changed = threading.Condition()
        self._requested: Sequence[int] = ()
        self._asked: dict[int, float] = {}  # when each lease was asked for last
        self._is_over = False
        self.remaining: Mapping[int, int] = {}
        """Seconds by lease, as far as they are known."""

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._work, name="etcdnaming-leases", daemon=True).start()

    def request(self, leases: Sequence[int]) -> None:
        """Request the times of these leases from now on."""
        with self._changed:
            self._requested = leases[:MAX_LEASES]
            if not leases:
                self.remaining, self._asked = {}, {}
            self._changed.notify_all()

    def end(self) -> None:
        """End the thread."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _work(self) -> None:
        while leases := self._next():
            found = self._query(leases)
            with self._changed:
                if self._requested:
                    kept = {each: self.remaining.get(each) for each in self._asked}
                    known = {**kept, **dict.fromkeys(leases), **found}
                    self.remaining = {
                        lease: seconds for lease, seconds in known.items() if seconds is not None
                    }
            self._on_change()

    def _next(self) -> Sequence[int]:
        """Wait until leases are due, and return them; none at the end."""
        with self._changed:
            while not self._is_over:
                now = time.monotonic()
                due = {lease: self._asked.get(lease, -math.inf) for lease in self._requested}
                past = now - LEASE_INTERVAL
                if leases := [each for each, at in due.items() if at <= past]:
                    asked = {each: self._asked[each] for each in due if each in self._asked}
                    self._asked = {**asked, **dict.fromkeys(leases, now)}
                    return leases
                self._changed.wait(min(due.values()) - past if due else None)
            return ()

    def _query(self, leases: Sequence[int]) -> Mapping[int, int]:
        try:
            return {lease: self._time_to_live(lease) for lease in leases}
        except EtcdnamingError:
            return {}  # all times are unknown
