"""How often gRPC wakes for nothing."""

from __future__ import annotations

from typing import Any

import grpc

__all__ = ["let_grpc_sleep"]


def let_grpc_sleep() -> None:
    """
    Let threads that wait for an answer sleep until it comes.

    gRPC wakes each of them ten times a second, for Pythons whose waits no signal could interrupt
    (grpc/grpc#19464). It can be told otherwise for a whole process only, so not by a library.
    """
    common: Any = vars(grpc).get("_common")
    if hasattr(common, "MAXIMUM_WAIT_TIMEOUT"):
        common.MAXIMUM_WAIT_TIMEOUT = 3600.0
