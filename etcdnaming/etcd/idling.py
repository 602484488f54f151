"""How often gRPC wakes for nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

__all__ = ["let_grpc_sleep", "threads_of_grpc"]

LATE = 0.5
"""Seconds that gRPC may be late when it waits for a time, as to look whether all is well."""

PR_SET_TIMERSLACK, PR_GET_TIMERSLACK = 29, 30

_may_sleep = False


def let_grpc_sleep() -> None:
    """
    Let threads that wait for an answer sleep until it comes, in this process from now on.

    gRPC wakes each of them ten times a second, for Pythons whose waits no signal could interrupt
    (grpc/grpc#19464). It can be told otherwise for a whole process only, so not by a library.

    Its own threads look five times a second for signals, and for work after pauses that grow
    from 15 ms after each answer (grpc/grpc#37180). They can't be told at all; so the kernel is.
    """
    global _may_sleep  # noqa: PLW0603 - see above
    _may_sleep = True
    common: Any = vars(grpc).get("_common")
    if hasattr(common, "MAXIMUM_WAIT_TIMEOUT"):
        common.MAXIMUM_WAIT_TIMEOUT = 3600.0


@contextmanager
def threads_of_grpc() -> Iterator[None]:
    """Let threads that begin in this block be late for a time, if they may, but for no answer."""
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
