"""
Background threads: how they start, and how they continue after an unforeseen error.

A full process table, exhausted memory or a bug may hit any of them at any moment. A thread that
ends leaves its leases, watches or registrations behind without a sign. So it never does: it logs
the error, pauses and goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import ConnectionFailedError
from ..log import logger
from .backoff import full_jitter

__all__ = ["no_thread", "run_steps", "start_thread"]

_log = logger(__name__)


def start_thread(run: Callable[[], object], name: str) -> None:
    """
    Start a daemon thread.

    Raises:
        ConnectionFailedError: No thread can be started now; retrying may help.
    """
    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError as exc:
        raise no_thread(exc) from exc


def no_thread(exc: RuntimeError) -> ConnectionFailedError:
    """Return the error for a thread that Python could not start."""
    return ConnectionFailedError(
        f"{exc}: the user or the container has as many processes and threads as it may have"
    )


def run_steps(step: Callable[[], bool], pause: Callable[[float], object]) -> None:
    """
    Call *step* again and again, until it returns false.

    An exception is logged; then *pause* is called with the seconds to wait before the next step.
    """
    failures = 0
    while True:
        try:
            if not step():
                return
            failures = 0
        except Exception:  # noqa: BLE001 - whatever it is, the thread's work has to go on
            failures += 1
            _log.exception("%s goes on after an error", threading.current_thread().name)
            pause(full_jitter(failures))
