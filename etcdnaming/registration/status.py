"""The status of a registration, which any thread may read and wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..errors import InheritedError
from ..model import Endpoint

__all__ = ["LeaseHealth", "RegistrationStatus", "StatusReport"]


class StatusReport(NamedTuple):
    """
    The status after a step.

    *registered*: every endpoint is registered, as far as known. *settled*: there is nothing to do
    or to wait for (keys given up to other leases don't count) after the first *done* requests of
    the caller. *wanted*: the endpoints are not withdrawn. *endpoints*: what etcd holds. *ended*:
    closed, or failed with *failure*. *clean*: etcd has confirmed that nothing is left.
    """

    lease: int = 0
    registered: bool = False
    settled: bool = False
    wanted: bool = True
    done: int = 0
    endpoints: Mapping[str, Endpoint | None] = {}
    ended: bool = False
    clean: bool = False
    failure: Exception | None = None


class LeaseHealth:
    """
    Whether the lease is alive, as far as known, and since when it was not.

    The keep-alive thread knows of a loss first, while the loop may still wait for an answer of
    etcd. So this is updated apart from the loop's reports, and read along with them.

    `_lock` guards everything. It is reentrant because a signal handler may read the status in the
    middle of an update by the same thread.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._lease = 0
        self._silent = False
        self._lost_at: float | None = None

    @property
    def intact(self) -> bool:
        """Return whether there is a lease and it was not lost."""
        with self._lock:
            return self._lease != 0 and self._lost_at is None

    @property
    def lost(self) -> bool:
        """Return whether the lease was lost and not regained; this was reported."""
        with self._lock:
            return self._lost_at is not None

    def begin(self, lease: int) -> None:
        """Start with a new *lease*."""
        with self._lock:
            self._lease, self._silent = lease, False

    def update(self, lease: int, *, silent: bool) -> bool:
        """Note whether *lease* is answered; return whether it counts as lost from now on."""
        with self._lock:
            if lease != self._lease:
                return False
            self._silent = silent
            return silent and self._lose()

    def end(self) -> tuple[bool, bool]:
        """Be without a lease; return whether that is a new loss, and whether it was silent."""
        with self._lock:
            self._lease = 0
            return self._lose(), self._silent

    def release(self) -> None:
        """Be without a lease because none is needed, which is no loss."""
        with self._lock:
            self._lease, self._silent = 0, False

    def regain(self) -> float | None:
        """End a loss, as all is registered; return the seconds it took, ``None`` if none ended."""
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


class RegistrationStatus:
    """
    The latest report of the loop, corrected by the health of the lease.

    `_changed` guards the report. `callbacks_done` is set when the last callback has returned.
    """

    def __init__(self) -> None:
        self.health = LeaseHealth()
        self.callbacks_done = threading.Event()
        self._changed = threading.Condition()
        self._report = StatusReport()

    @property
    def current(self) -> StatusReport:
        """Return the latest report; nothing counts as registered while the lease is lost."""
        report = self._report
        if self.health.intact:
            return report
        return report._replace(registered=False, settled=report.settled and not report.wanted)

    def publish(self, report: StatusReport) -> None:
        """Replace the report and wake up the waiting threads."""
        with self._changed:
            self._report = report
            self._changed.notify_all()

    def after_fork(self) -> None:
        """End in a child process: what is registered is the parent's."""
        self.health, self._changed = LeaseHealth(), threading.Condition()
        self.callbacks_done = threading.Event()
        self.callbacks_done.set()
        self._report = StatusReport(
            ended=True, clean=True, failure=InheritedError("the registration")
        )

    def wait_for(self, reached: Callable[[StatusReport], bool], timeout: float | None) -> bool:
        """Return whether a report is as wanted, after at most *timeout* seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: reached(self.current), timeout)
