"""
Drop a gRPC channel whose state was subscribed to, without a traceback of gRPC's.

gRPC has a thread for a channel with listeners, which looks five times a second whether there still
are any. If the channel is freed or closed before that thread has looked for the last time, the
thread ends with a traceback on stderr: "Cannot monitor channel state: Channel deallocated!". On a
busy machine that last look is late by any time. So the channel is kept until the thread is over,
or for `MAX_KEPT` if this gRPC does not show that (see `grpc_tuning.is_polled`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeAlias

import grpc

from ..errors import ConnectionFailedError
from ..fork import call_after_fork, inherited
from .grpc_tuning import is_polled
from .threads import run_steps, start_thread

__all__ = ["Listener", "unsubscribe"]

_Kept: TypeAlias = "tuple[grpc.Channel, float]"

Listener: TypeAlias = Callable[[grpc.ChannelConnectivity], None]

LOOK_INTERVAL = 0.2
"""Seconds between two looks for threads that are over; gRPC's own interval."""

MAX_KEPT = 60.0
"""Seconds after which a channel is dropped anyway."""


def unsubscribe(channel: grpc.Channel, listener: Listener) -> None:
    """Report the state of *channel* to *listener* no more; the caller may drop the channel."""
    channel.unsubscribe(listener)
    _keeper.keep(channel)


class _Keeper:
    """
    Keeps channels until gRPC's threads are done with them; `_lock` guards everything.

    A thread of our own runs while there are any. If no thread can be started, they stay until the
    next channel is added.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[_Kept] = []
        self._runs = False
        call_after_fork(self)

    def after_fork(self) -> None:
        """Keep the parent's channels untouched, in a child: see `fork`."""
        inherited.append(self._kept)
        self._lock, self._kept, self._runs = threading.Lock(), [], False

    def keep(self, channel: grpc.Channel) -> None:
        """Keep *channel* as long as gRPC's thread needs it."""
        with self._lock:
            self._kept.append((channel, time.monotonic() + MAX_KEPT))
            if self._runs:
                return
            try:
                start_thread(self._run, "etcdnaming-channels")
            except ConnectionFailedError:  # the process has as many threads as it may have
                return
            self._runs = True

    def _run(self) -> None:
        run_steps(self._look, time.sleep)

    def _look(self) -> bool:
        """Drop what is no longer needed, pause, and return whether to look again."""
        is_left = self._drop()
        if is_left:
            time.sleep(LOOK_INTERVAL)
        return is_left

    def _drop(self) -> bool:
        """Drop what is no longer needed; return whether anything is left."""
        now = time.monotonic()
        with self._lock:
            before = self._kept
            self._kept = [each for each in before if is_polled(each[0]) and now < each[1]]
            self._runs = bool(self._kept)
            is_left = self._runs
        del before  # without the lock: gRPC takes its own, and may call listeners
        return is_left


_keeper = _Keeper()
