"""Calls that can't be sent yet: no endpoint is known, or there is none and they wait for one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc

from ..errors import ConnectionFailedError
from ..etcd.threads import run_steps, start_thread
from .current import Current
from .failed import FailedCall
from .inner import Inner, View
from .pending import PendingCall
from .terms import Terms

__all__ = ["Usher", "admit", "too_late", "wait_for_inner"]


def wait_for_inner(current: Current, terms: Terms) -> tuple[Inner, Terms]:
    """
    Return where the call can be sent, and on which terms, as soon as it can be.

    Raises:
        FailedCall: It can't be, or not in time.
        ValueError: The channel was closed before.
    """
    end = terms.end()
    with current.changed:
        while not (inner := admit(current.view, terms, closed=current.closed)):
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise too_late(current.view)
            current.changed.wait(left)
            if current.closed:
                raise closed()
    return inner, terms.until(end)


class Usher:
    """
    Sends calls without a blocked caller as soon as they can be sent, and fails those that are late.

    `changed` of *current* guards everything. A thread is there only while there are such calls.
    """

    def __init__(self, current: Current) -> None:
        self._current = current
        self._waiting: list[PendingCall] = []
        self._running = False

    def send(self, terms: Terms, start: Callable[[Inner, Terms], Any], owner: object) -> Any:
        """
        Return the call, or what stands for it until it is sent.

        *start* sends it; *owner* is kept alive until then.
        """
        with self._current.changed:
            try:
                if inner := self._admit(terms):
                    return start(inner, terms)
            except FailedCall as failed:
                return failed
            try:
                if not self._running:
                    start_thread(self._run, "etcdnaming-calls")
                    self._running = True
            except ConnectionFailedError as exc:
                return FailedCall(grpc.StatusCode.UNAVAILABLE, str(exc))
            pending = PendingCall(terms, start, owner, self._current.changed)
            self._waiting.append(pending)
            return pending

    def _admit(self, terms: Terms) -> Inner | None:
        return admit(self._current.view, terms, closed=self._current.closed)

    def _run(self) -> None:
        run_steps(self._serve, time.sleep)

    def _serve(self) -> bool:
        settled = self._wait()
        for pending in settled:
            pending.tell()
        return bool(settled)

    def _wait(self) -> list[PendingCall]:
        """Return some that are settled; none when there are no more."""
        with self._current.changed:
            while self._waiting:
                settled = [each for each in self._waiting if self._settle(each)]
                self._waiting = [each for each in self._waiting if not each.settled]
                if settled:
                    return settled
                ends = [each.end for each in self._waiting if each.end is not None]
                left = max(0.0, min(ends) - time.monotonic()) if ends else None
                self._current.changed.wait(left)
            self._running = False
            return []

    def _settle(self, pending: PendingCall) -> bool:
        """Send it or fail it if it is time for that; say whether that was done here."""
        if pending.settled:
            return False  # it was cancelled
        if self._current.closed:
            pending.settle(closed())
            return True
        try:
            if inner := self._admit(pending.terms):
                pending.begin(inner)
            elif pending.end is not None and pending.end <= time.monotonic():
                pending.settle(too_late(self._current.view))
        except grpc.RpcError as exc:
            pending.settle(FailedCall(exc.code(), exc.details() or ""))
        except Exception as exc:  # noqa: BLE001 - what gRPC raises must reach who called
            pending.settle(FailedCall(grpc.StatusCode.INTERNAL, str(exc)))
        return pending.settled


def admit(view: View, terms: Terms, *, closed: bool) -> Inner | None:
    """
    Return where to send a call; ``None`` if it has to wait.

    Raises:
        FailedCall: It will never be sent.
        ValueError: The channel is closed.
    """
    if view.inner:
        return view.inner
    if closed:
        raise ValueError("Cannot invoke RPC: Channel closed!")  # gRPC's own words
    if view.final or (view.reason and not terms.wait_for_ready):
        raise FailedCall(grpc.StatusCode.UNAVAILABLE, view.reason)
    return None


def closed() -> FailedCall:
    """Return what a call ends with that waits when its channel is closed."""
    return FailedCall(grpc.StatusCode.CANCELLED, "Channel closed!")  # gRPC's own words


def too_late(view: View) -> FailedCall:
    """Return what a call fails with that has waited in vain."""
    reason = view.reason or "the endpoints are not known yet: etcd has not been read"
    return FailedCall(grpc.StatusCode.DEADLINE_EXCEEDED, f"Deadline Exceeded: {reason}")
