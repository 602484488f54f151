"""
gRPC's private parts, and settings that hold for a whole process: all of them are here.

Each function says why it is needed, what guards it, and what happens with a gRPC that has changed.
`tests/etcd/test_grpc_tuning.py` and `tests/etcd/test_channel_state.py` fail when a part is missing.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
from grpc.experimental import ChannelOptions

from ..errors import ConnectionFailedError
from ..fork import call_after_fork, inherited
from .threads import run_steps, start_thread

__all__ = [
    "drain",
    "is_connected",
    "is_polled",
    "let_grpc_sleep",
    "single_threaded_streams",
    "threads_of_a_call",
    "unsubscribe",
]

TIMER_SLACK = 0.5
"""Seconds that the threads of a call may be late when they look whether a signal has come."""

LOOK_INTERVAL = 0.2
"""Seconds between two looks for threads that are over; gRPC's own interval."""

MAX_KEPT = 60.0
"""Seconds after which a channel is dropped anyway."""

PR_SET_TIMERSLACK, PR_GET_TIMERSLACK = 29, 30

_TAKE = "_consume_next_event"

_may_sleep = False


def let_grpc_sleep() -> None:
    """
    Let threads that wait for an answer sleep until it comes, in this process from now on.

    gRPC wakes each of them ten times a second, for Pythons whose waits no signal could interrupt
    (grpc/grpc#19464). The setting holds for the whole process, so only a command makes it, never
    the library. If gRPC no longer has it, the threads wake as often as before: nothing breaks.

    The threads that read a long call wake as often, and gRPC has no setting for them; the kernel
    has one, see `threads_of_a_call`.
    """
    global _may_sleep  # noqa: PLW0603 - see above
    _may_sleep = True
    common: Any = vars(grpc).get("_common")
    if hasattr(common, "MAXIMUM_WAIT_TIMEOUT"):
        common.MAXIMUM_WAIT_TIMEOUT = 3600.0


@contextmanager
def threads_of_a_call() -> Iterator[None]:
    """
    Let timers of threads that start in this block be late, after `let_grpc_sleep` on Linux.

    A thread inherits the timer slack of the one that starts it, so the slack is set, the call made
    and the slack restored. Only timers are late, no answer is: that wakes the thread by itself.

    The threads of a channel must not start in such a block. They use a timer to find work whose
    wake-up they have missed (grpc/grpc#37180), and an answer would be as late as the timer. So a
    channel is dialled before the block, never in it.
    """
    if not _may_sleep or sys.platform != "linux":
        yield
        return
    before = max(0, _prctl(PR_GET_TIMERSLACK))  # -1 where the kernel has no such option
    _prctl(PR_SET_TIMERSLACK, int(TIMER_SLACK * 1e9))
    try:
        yield
    finally:
        _prctl(PR_SET_TIMERSLACK, before)


def _prctl(option: int, value: int = 0) -> int:
    import ctypes  # not needed elsewhere

    result: int = ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value))
    return result


def single_threaded_streams() -> tuple[tuple[str, int], ...]:
    """
    Return the channel option that lets the thread that waits for answers read them itself.

    One thread less is woken for every answer of a call with one request. gRPC offers this as
    experimental, without a way to end such a call: see `drain`. If gRPC has no longer what `drain`
    needs, there is no option, and a thread of gRPC's reads the answers.
    """
    from grpc import _channel  # imported with the first channel anyway

    call = getattr(_channel, "_SingleThreadedRendezvous", None)
    return ((ChannelOptions.SingleThreadedUnaryStream, 1),) if hasattr(call, _TAKE) else ()


def drain(call: object) -> None:
    """
    Take the remaining events of *call*, which is over or was cancelled.

    A single-threaded call has no thread of gRPC's. After `cancel`, its last events stay in the
    queue until the reading thread takes them, and until then gRPC keeps the call and its
    connection. So the thread that has read the call drains it at the end; for a call of any other
    kind there is nothing to do.
    """
    take, state = getattr(call, _TAKE, None), getattr(call, "_state", None)
    while take and state and state.due:
        take()


def is_connected(channel: grpc.Channel) -> bool:
    """
    Return whether *channel* has a connection now.

    gRPC's public way is a listener, which costs a thread that polls. Without the private one, every
    channel counts as connected, and renewed certificates are used only after the member is left.
    """
    core: Any = getattr(channel, "_channel", None)
    check = getattr(core, "check_connectivity_state", None)
    if check is None:
        return True
    try_to_connect = False
    return bool(check(try_to_connect) == grpc.ChannelConnectivity.READY.value[0])


def is_polled(channel: grpc.Channel) -> bool:
    """
    Return whether gRPC's thread for the listeners of *channel* still runs.

    Without the private part, it is taken to run, and `unsubscribe` drops a channel by time.
    """
    return bool(getattr(getattr(channel, "_connectivity_state", None), "polling", True))


def unsubscribe(
    channel: grpc.Channel, listener: Callable[[grpc.ChannelConnectivity], None]
) -> None:
    """
    Report the state of *channel* to *listener* no more; the caller may drop the channel.

    gRPC has a thread for a channel with listeners, which looks five times a second whether there
    still are any. If the channel is freed or closed before that thread has looked for the last
    time, the thread ends with a traceback on stderr: "Cannot monitor channel state: Channel
    deallocated!". On a busy machine that last look is late by any time. So the channel is kept
    until the thread is over, or for `MAX_KEPT` if this gRPC does not show that (see `is_polled`).
    """
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
        self._kept: list[tuple[grpc.Channel, float]] = []
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
                start_thread(partial(run_steps, self._look, time.sleep), "etcdnaming-channels")
            except ConnectionFailedError:  # the process has as many threads as it may have
                return
            self._runs = True

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
