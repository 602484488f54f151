"""What stands for a call until it can be sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any

import grpc

from ..log import logger
from .failed import FailedCall
from .inner import Inner
from .shapes import Future
from .terms import Terms

__all__ = ["PendingCall"]

_log = logger(__name__)

_CANCELLED = "Locally cancelled by application!"  # gRPC's own words


class PendingCall(grpc.Call, Future):
    """
    A call and a future, and if it is a stream its responses, like what gRPC returns.

    *changed* guards everything. Once settled, it passes everything on to the call.

    Args:
        start: Sends the call.

        owner: Kept alive until then.
    """

    def __init__(
        self,
        terms: Terms,
        start: Callable[[Inner, Terms], Any],
        owner: object,
        changed: threading.Condition,
    ) -> None:
        self.terms, self.end = terms, terms.end()
        self._start = start
        self._owner: object = owner
        self._changed = changed
        self._call: Any = None
        self._callbacks: list[Callable[[], None]] = []
        self._done_callbacks: list[Callable[[Any], None]] = []

    @property
    def settled(self) -> bool:
        """Say whether there is a call, or never will be."""
        return self._call is not None

    def begin(self, inner: Inner) -> None:
        """Send it."""
        self.settle(self._start(inner, self.terms.until(self.end)))

    def settle(self, call: Any) -> None:
        """From now on pass everything on to *call*."""
        self._call, self._owner = call, None
        self._changed.notify_all()

    def tell(self) -> None:
        """Call back who wanted it, under no lock, once it is settled."""
        try:
            for fn in self._done_callbacks:
                self._call.add_done_callback(partial(self._done, fn))
            for callback in self._callbacks:
                if not self._call.add_callback(callback):
                    callback()
        except Exception:  # noqa: BLE001 - is the program's; other calls wait for this thread
            _log.exception("a callback of a call failed")

    def _done(self, fn: Callable[[Any], None], _: object) -> None:
        fn(self)

    def initial_metadata(self) -> Any:
        """As gRPC."""
        return self._wait().initial_metadata()

    def trailing_metadata(self) -> Any:
        """As gRPC."""
        return self._wait().trailing_metadata()

    def code(self) -> grpc.StatusCode:
        """As gRPC."""
        code: grpc.StatusCode = self._wait().code()
        return code

    def details(self) -> str:
        """As gRPC."""
        return str(self._wait().details())

    def is_active(self) -> bool:
        """As gRPC."""
        return bool(self._call.is_active()) if self.settled else True

    def time_remaining(self) -> Any:
        """As gRPC."""
        if self.settled:
            return self._call.time_remaining()
        return None if self.end is None else max(0.0, self.end - time.monotonic())

    def cancel(self) -> bool:
        """As gRPC."""
        with self._changed:
            early = not self.settled
            if early:
                self.settle(FailedCall(grpc.StatusCode.CANCELLED, _CANCELLED))
        if not early:
            return bool(self._call.cancel())
        self.tell()
        return True

    def cancelled(self) -> bool:
        """As gRPC."""
        return bool(self.settled and self._call.cancelled())

    def running(self) -> bool:
        """As gRPC."""
        return bool(self._call.running()) if self.settled else True

    def done(self) -> bool:
        """As gRPC."""
        return bool(self.settled and self._call.done())

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """As gRPC."""
        with self._changed:
            if not self.settled:
                self._callbacks.append(callback)
                return True
        return bool(self._call.add_callback(callback))

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """As gRPC."""
        with self._changed:
            if not self.settled:
                self._done_callbacks.append(fn)
                return
        self._call.add_done_callback(partial(self._done, fn))

    def result(self, timeout: float | None = None) -> Any:
        """As gRPC."""
        return self._within(timeout, "result")

    def exception(self, timeout: float | None = None) -> Exception | None:
        """As gRPC."""
        exception: Exception | None = self._within(timeout, "exception")
        return exception

    def traceback(self, timeout: float | None = None) -> TracebackType | None:
        """As gRPC."""
        traceback: TracebackType | None = self._within(timeout, "traceback")
        return traceback

    def __iter__(self) -> PendingCall:
        return self

    def __next__(self) -> Any:
        return next(self._wait())

    def _within(self, timeout: float | None, wanted: str) -> Any:
        end = None if timeout is None else time.monotonic() + timeout
        call = self._wait(timeout)
        left = None if end is None else max(0.0, end - time.monotonic())
        return getattr(call, wanted)(timeout=left)

    def _wait(self, timeout: float | None = None) -> Any:
        with self._changed:
            if not self._changed.wait_for(lambda: self.settled, timeout):
                raise grpc.FutureTimeoutError
        return self._call
