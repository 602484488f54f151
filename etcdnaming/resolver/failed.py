"""A call that came to nothing before it could be sent, in the shape of gRPC's own."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

import grpc

from .shapes import Future

__all__ = ["FailedCall"]


class FailedCall(grpc.RpcError, grpc.Call, Future):
    """Raised by calls that block, returned by the others: like what gRPC raises and returns."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        """Return the status."""
        return self._code

    def details(self) -> str:
        """Return why."""
        return self._details

    def debug_error_string(self) -> str:
        """Return the same."""
        return str(self)

    def initial_metadata(self) -> tuple[()]:
        """No metadata was sent."""
        return ()

    def trailing_metadata(self) -> tuple[()]:
        """No metadata was sent."""
        return ()

    def is_active(self) -> bool:
        """It is over."""
        return False

    def time_remaining(self) -> float:
        """It is over."""
        return 0.0

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """It is too late for that, which is what ``False`` says."""
        return False

    def cancel(self) -> bool:
        """It is too late for that."""
        return False

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self._code is grpc.StatusCode.CANCELLED

    def running(self) -> bool:
        """It is over."""
        return False

    def done(self) -> bool:
        """It is over."""
        return True

    def result(self, timeout: float | None = None) -> NoReturn:
        """Raise it."""
        if self.cancelled():
            raise grpc.FutureCancelledError
        raise self

    def exception(self, timeout: float | None = None) -> Exception:
        """Return it."""
        if self.cancelled():
            raise grpc.FutureCancelledError
        return self

    def traceback(self, timeout: float | None = None) -> TracebackType | None:
        """Return where it was raised, if it was."""
        return self.__traceback__

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Call *fn*."""
        fn(self)

    def __iter__(self) -> FailedCall:
        return self

    def __next__(self) -> NoReturn:
        raise self
