"""
Find a member that is there: the first of several endpoints whose connection is ready.

gRPC would queue a call on a connection that never comes and then report a deadline, which for a
write can't be distinguished from a lost answer. So a connection is used only once it is READY:
nothing was sent before that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import grpc

from ..errors import ConnectionFailedError, TLSError
from .addresses import Address
from .deadline import Deadline
from .diagnosis import explain
from .grpc_tuning import unsubscribe
from .security import TLSFiles

__all__ = ["Attempt", "dial"]

NEXT_AFTER = 1.0
"""Seconds after which the next endpoint is tried beside one that does not answer."""

MAX_REASONS = 10
"""Endpoints that an error names, with the reason of each."""

_READY = grpc.ChannelConnectivity.READY
_FAILED = grpc.ChannelConnectivity.TRANSIENT_FAILURE


class Attempt:
    """
    A connection in the making, made from *files* if it is TLS.

    gRPC calls `_changed` in a thread of its own; `_changed` wakes the thread that dials.
    """

    def __init__(
        self,
        address: Address,
        channel: grpc.Channel,
        *,
        files: TLSFiles | None,
        woken: threading.Condition,
    ) -> None:
        self.address, self.channel, self.files = address, channel, files
        self._woken = woken
        self._state: grpc.ChannelConnectivity | None = None
        self._failure: tuple[str, bool] | None = None
        channel.subscribe(self._changed, try_to_connect=True)

    @property
    def ready(self) -> bool:
        """Say whether calls can be sent."""
        return self._state is _READY

    @property
    def failed(self) -> bool:
        """Say whether it failed at least once; gRPC goes on trying."""
        return self._failure is not None

    @property
    def hopeless(self) -> bool:
        """Say whether waiting can't help: the two sides don't agree on TLS."""
        return self._failure is not None and self._failure[1]

    def reason(self) -> str:
        """Return why it is not ready."""
        return self._failure[0] if self._failure else "no answer"

    def release(self) -> None:
        """Stop listening to the state; the channel is the caller's."""
        unsubscribe(self.channel, self._changed)

    def _changed(self, state: grpc.ChannelConnectivity) -> None:
        failure = self._explain() if state is _FAILED else self._failure
        with self._woken:
            self._state, self._failure = state, failure
            self._woken.notify_all()

    def _explain(self) -> tuple[str, bool]:
        # gRPC tells the state only; a call on a failed connection fails at once and says why.
        try:
            self.channel.unary_unary("/etcdserverpb.KV/Range", bytes, bytes)(b"", timeout=0.5)
        except (grpc.RpcError, ValueError) as exc:
            details = exc.details() if isinstance(exc, grpc.Call) else ""
            return explain(self.address, details or "", self.files)
        return "no answer", False


def dial(
    addresses: Sequence[Address],
    connect: Callable[[Address, threading.Condition], Attempt],
    deadline: Deadline,
    woken: threading.Condition,
) -> Attempt:
    """
    Return the first attempt that is ready.

    The next address is tried when one fails, or is silent for `NEXT_AFTER`. Who cuts the *deadline*
    notifies *woken*.

    Raises:
        ConnectionFailedError: None was; `TLSError` if each of them failed over TLS.
    """
    attempts: list[Attempt] = []
    try:
        chosen = _first_ready(addresses, connect, deadline, woken, attempts)
        if chosen is None:
            raise _failure(attempts, deadline.seconds)
        return chosen
    finally:
        # Dropped, not closed: gRPC's thread that watches the state would end with a traceback.
        # Removed, because an error keeps this frame: gRPC would go on connecting as long as the
        # caller has the error.
        while attempts:
            attempts.pop().release()


def _first_ready(
    addresses: Sequence[Address],
    connect: Callable[[Address, threading.Condition], Attempt],
    deadline: Deadline,
    woken: threading.Condition,
    attempts: list[Attempt],
) -> Attempt | None:
    waiting = list(addresses)
    patience = Deadline(0)
    while deadline.left():
        if waiting and (not patience.left() or all(each.failed for each in attempts)):
            attempts.append(connect(waiting.pop(0), woken))
            patience = Deadline(NEXT_AFTER)
        with woken:
            ready = next((each for each in attempts if each.ready), None)
            if ready or (not waiting and all(each.hopeless for each in attempts)):
                return ready
            if not waiting or not all(each.failed for each in attempts):
                woken.wait(min(deadline.left(), patience.left() if waiting else deadline.left()))
    return None


def _failure(attempts: Sequence[Attempt], timeout: float) -> ConnectionFailedError:
    shown = attempts[:MAX_REASONS]
    tried = "; ".join(f"{attempt.address.text}: {attempt.reason()}" for attempt in shown)
    if len(attempts) > len(shown):
        tried += f"; and {len(attempts) - len(shown)} more"
    if attempts and all(attempt.hopeless for attempt in attempts):
        return TLSError(f"no etcd endpoint can be used: {tried}")
    if not attempts:
        return ConnectionFailedError("no etcd endpoint reached: no time was left to connect")
    seconds = round(timeout, 1) or timeout
    return ConnectionFailedError(f"no etcd endpoint reached within {seconds:g}s: {tried}")
