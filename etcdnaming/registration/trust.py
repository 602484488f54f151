"""Whether the lease of a registration is believed in."""

from __future__ import annotations

import threading
import time

__all__ = ["Trust"]


class Trust:
    """
    Is lost when the lease is silent or gone, and regained when all is registered again.

    The keeper's thread knows first, whatever the registrar is waiting for. `_lock` guards all.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal's handler may ask in the middle of an answer
        self._lease = 0
        self._silent = False
        self._lost_at: float | None = None

    @property
    def intact(self) -> bool:
        """Say whether there is a lease, and nothing speaks against it."""
        with self._lock:
            return self._lease != 0 and self._lost_at is None

    @property
    def lost(self) -> bool:
        """Say whether it was lost, which is known to everybody then."""
        with self._lock:
            return self._lost_at is not None

    def begin(self, lease: int) -> None:
        """There is a new *lease*."""
        with self._lock:
            self._lease, self._silent = lease, False

    def hear(self, lease: int, *, silent: bool) -> bool:
        """Hear whether *lease* is silent; return whether trust is lost by that."""
        with self._lock:
            if lease != self._lease:
                return False
            self._silent = silent
            return silent and self._lose()

    def end(self) -> tuple[bool, bool]:
        """There is no lease; return whether trust is lost by that, and whether it was silent."""
        with self._lock:
            self._lease = 0
            return self._lose(), self._silent

    def release(self) -> None:
        """There is no lease, because none is needed: nothing is lost by that."""
        with self._lock:
            self._lease, self._silent = 0, False

    def regain(self) -> float | None:
        """All is registered: if that and the lease's life are news, return the seconds it took."""
        with self._lock:
            if self._lost_at is None or self._silent:
                return None
            seconds, self._lost_at = time.monotonic() - self._lost_at, None
            return seconds

    def _lose(self) -> bool:
        if self._lost_at is not None:
            return False
        self._lost_at = time.monotonic()
        return True
