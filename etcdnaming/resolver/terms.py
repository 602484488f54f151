"""On which terms a call is made."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import grpc

__all__ = ["Terms"]


class Terms(NamedTuple):
    """What a call is made with, in the order in which gRPC takes it."""

    request: Any
    timeout: float | None = None
    metadata: Any = None
    credentials: grpc.CallCredentials | None = None
    wait_for_ready: bool | None = None
    compression: grpc.Compression | None = None

    @classmethod
    def of(cls, *args: Any, **named: Any) -> Terms:
        """Return the arguments of a call; streams have another name for the first."""
        if "request_iterator" in named:
            named["request"] = named.pop("request_iterator")
        return cls(*args, **named)

    def named(self) -> dict[str, Any]:
        """Return all but the request, by name."""
        return {name: value for name, value in self._asdict().items() if name != "request"}

    def end(self) -> float | None:
        """Return when it must be over, if it is made now."""
        return None if self.timeout is None else time.monotonic() + self.timeout

    def until(self, end: float | None) -> Terms:
        """Return the same with the time that is left until *end*."""
        if end is None:
            return self
        return self._replace(timeout=max(0.0, end - time.monotonic()))
