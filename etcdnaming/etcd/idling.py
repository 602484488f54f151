"""How often gRPC wakes for nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

__all__ = ["let_grpc_sleep", "threads_of_a_call"]

LATE = 0.5
"""Seconds that the threads of a call may be late when they look whether a signal has come."""

PR_SET_TIMERSLACK, PR_GET_TIMERSLACK = 29, 30

_may_sleep = False


def let_grpc_sleep() -> None:
    """
    Let threads that wait for an answer sleep until it comes, in this process from now on.

    gRPC wakes each of them ten times a second, for Pythons whose waits no signal could interrupt
    (grpc/grpc#19464). It can be told otherwise for a whole process only, so not by a library.

    Those that hear a long call do the same, and can't be told at all; so the kernel is.
    """
    global _may_sleep  # noqa: PLW0603 - see above
    _may_sleep = True
    common: Any = vars(grpc).get("_common")
    if hasattr(common, "MAXIMUM_WAIT_TIMEOUT"):
        common.MAXIMUM_WAIT_TIMEOUT = 3600.0


@contextmanager
def threads_of_a_call() -> Iterator[None]:
    """
    Let threads that begin in this block be late for a time, if they may, but for no answer.

    That is not for the threads of a channel, which wake more often: a time is what they wait for
    when they miss that there is work (grpc/grpc#37180), and an answer would be as late.
    """
    if not _may_sleep or sys.platform != "linux":
        yield
        return
    before = max(0, _prctl(PR_GET_TIMERSLACK))  # -1 where the kernel knows no such thing
    _prctl(PR_SET_TIMERSLACK, int(LATE * 1e9))  # which they inherit
    try:
        yield
    finally:
        _prctl(PR_SET_TIMERSLACK, before)


def _prctl(option: int, value: int = 0) -> int:
    import ctypes  # not needed elsewhere

    result: int = ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value))
    return result
