"""``watch -w table`` on a terminal: a table that changes under one's eyes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from ...model import ChangeBatch, StoredEndpoint, WatchState
from .lease_times import LeaseTimes
from .live_frame import Columns, drawn
from .live_painter import Order, Painter
from .live_status import Status
from .live_view import View

__all__ = ["LiveTable"]


class LiveTable:
    """
    See `WatchPrinter`. What is shown belongs to `_lock`: we are told, and the painter draws.

    Args:
        time_to_live: Returns the seconds a lease has left, -1 if it is gone.
    """

    def __init__(self, target: str, time_to_live: Callable[[int], int]) -> None:
        self._lock = threading.Lock()
        self._view, self._columns, self._status = View(), Columns(), Status(target)
        self._painter = Painter(self._frame)
        self._leases = LeaseTimes(time_to_live, self._painter.wake)
        self._handlers: dict[int, Any] = {}

    def tell(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Show what is there, or has changed."""
        with self._lock:
            self._view.tell(batch, endpoints, time.time())
        self._draw()

    def state(self, state: WatchState) -> None:
        """Show whether that is up to date."""
        with self._lock:
            self._status = self._status._replace(state=state, since=time.time())
        self._draw()

    def begin(self) -> None:
        """Take the terminal. For the main thread, which gets the signals."""
        self._painter.start()
        self._leases.start()
        self._handle(signal.SIGWINCH, lambda *_: self._painter.tell(Order.RESIZE))
        self._handle(signal.SIGTSTP, self._suspend)
        self._handle(signal.SIGCONT, lambda *_: self._painter.tell(Order.RESUME))

    def end(self) -> None:
        """Give it back, with the last picture on it."""
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        self._leases.end()
        self._painter.end()

    def _draw(self) -> None:
        if self._painter.failure:
            raise self._painter.failure
        self._painter.wake()

    def _frame(self, size: os.terminal_size, last: bool) -> tuple[str, float]:
        """Return the picture, and the seconds until a highlight in it fades."""
        # In the last column, a terminal would begin the next line.
        width, now = size.columns - 1, time.time()
        with self._lock:
            status = self._status.lines(self._view, width, last=last)
            room = max(1, size.lines - len(status) - 2)  # the header, and a blank line
            keys, hidden = self._view.shown(room, now)
            if hidden:
                keys, hidden = self._view.shown(max(1, room - 1), now)
            rows = [*self._view.rows(keys, self._leases.remaining, now)]
            leases = self._view.leases(keys) if self._status.is_connected else ()
            fades = self._view.fades(now)
        self._leases.want(leases)
        table = self._columns.lines(rows, width) if rows else []
        if hidden:
            table.append((f"   and {hidden} more", "dim"))
        below = [("", ""), *status] if table else status
        return drawn([*table, *below][: size.lines]), fades

    def _handle(self, signum: int, handler: Callable[[int, FrameType | None], Any]) -> None:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            self._handlers[signum] = signal.signal(signum, handler)

    def _suspend(self, signum: int, _: FrameType | None) -> None:
        """Stop as a Ctrl-Z would have stopped us, but with the terminal given back."""
        self._painter.give_way()
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)  # returns when we are continued, or had nobody to do that
        signal.signal(signum, self._suspend)
        self._painter.tell(Order.RESUME)
