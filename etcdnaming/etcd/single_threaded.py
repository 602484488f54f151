"""
Calls whose answers are heard by the thread that waits for them: it need not be woken by gRPC's.

gRPC has them for one request and many answers. What it leaves to nobody: of a call that we cancel,
that thread alone can take what is still to come, and as long as it does not, gRPC keeps the call
and its connection.
"""

from __future__ import annotations

from grpc.experimental import ChannelOptions

__all__ = ["drain", "single_threaded"]

_TAKE = "_consume_next_event"


def single_threaded() -> tuple[tuple[str, int], ...]:
    """Return the option of a channel that is to have them: none if gRPC has no way to `drain`."""
    from grpc import _channel  # imported with the first channel anyway

    call = getattr(_channel, "_SingleThreadedRendezvous", None)
    return ((ChannelOptions.SingleThreadedUnaryStream, 1),) if hasattr(call, _TAKE) else ()


def drain(call: object) -> None:
    """Take what is left of *call*, of whatever kind, which is over."""
    take, state = getattr(call, _TAKE, None), getattr(call, "_state", None)
    while take and state and state.due:
        take()
