"""``watch -w table`` on a terminal: a table that changes under one's eyes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from ...model import ChangeBatch, StoredEndpoint, WatchState
from .lease_times import LeaseTimes
from .live_frame import prepare
from .live_painter import Order, Painter
from .live_picture import Picture

__all__ = ["LiveTable"]


class LiveTable:
    """
    See `WatchPrinter`. For the main thread, which gets the signals.

    Args:
        time_to_live: Returns the seconds a lease has left, -1 if it is gone.
    """

    def __init__(self, target: str, time_to_live: Callable[[int], int]) -> None:
        self._picture = Picture(target)
        self._painter = Painter(self._frame)
        self._leases = LeaseTimes(time_to_live, self._painter.wake)
        self._handlers: dict[int, Any] = {}

    def print_batch(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Show what is there, or has changed."""
        self._picture.tell(batch, endpoints)
        self._draw()

    def print_state(self, state: WatchState) -> None:
        """Show whether that is up to date."""
        self._picture.state(state)
        self._draw()

    def begin(self) -> None:
        """Take the terminal."""
        # A signal may stop this thread in an import, whose lock the painter must not wait for then.
        prepare()
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
        text, lasts = self._picture.draw(size, self._leases.remaining, last=last)
        self._leases.want(self._picture.leases)
        return text, lasts

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
