"""gRPC's classes, which only type checkers take for generic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

__all__ = [
    "AioBase",
    "Future",
    "StreamStreamBase",
    "StreamUnaryBase",
    "UnaryStreamBase",
    "UnaryUnaryBase",
]

if TYPE_CHECKING:
    Future = grpc.Future[Any]
    UnaryUnaryBase = grpc.UnaryUnaryMultiCallable[Any, Any]
    UnaryStreamBase = grpc.UnaryStreamMultiCallable[Any, Any]
    StreamUnaryBase = grpc.StreamUnaryMultiCallable[Any, Any]
    StreamStreamBase = grpc.StreamStreamMultiCallable[Any, Any]

    class AioBase(
        grpc.aio.UnaryUnaryMultiCallable[Any, Any],
        grpc.aio.UnaryStreamMultiCallable[Any, Any],
        grpc.aio.StreamUnaryMultiCallable[Any, Any],
        grpc.aio.StreamStreamMultiCallable[Any, Any],
    ):
        """Any of the four."""

        def __call__(self, *args: Any, **named: Any) -> Any:
            """Return the call."""

else:
    Future = grpc.Future
    UnaryUnaryBase = grpc.UnaryUnaryMultiCallable
    UnaryStreamBase = grpc.UnaryStreamMultiCallable
    StreamUnaryBase = grpc.StreamUnaryMultiCallable
    StreamStreamBase = grpc.StreamStreamMultiCallable

    class AioBase(
        grpc.aio.UnaryUnaryMultiCallable,
        grpc.aio.UnaryStreamMultiCallable,
        grpc.aio.StreamUnaryMultiCallable,
        grpc.aio.StreamStreamMultiCallable,
    ):
        """Any of the four."""
