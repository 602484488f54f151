"""What a registration reports: events, and a status that any thread may read and wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from ..errors import InheritedError
from ..model import Endpoint
from ..wire import dumps

__all__ = [
    "Kind",
    "LeaseHealth",
    "RegistrationEvent",
    "RegistrationStatus",
    "StatusReport",
    "edit",
    "is_warning",
]

Kind: TypeAlias = Literal[
    "granted",
    "registered",
    "changed",
    "taken_over",
    "waiting",
    "conflict",
    "deleted",
    "lost",
    "regained",
    "withdrawn",
    "left",
    "revoked",
    "error",
]


class RegistrationEvent(NamedTuple):
    """
    A change of a registration's state; ``str(event)`` is a sentence, for a log.

        >>> event = RegistrationEvent("lost", lease=0x2A, reason="no answer for 10s")
        >>> event
        RegistrationEvent(kind='lost', lease=42, reason='no answer for 10s')
        >>> str(event)
        'lease 000000000000002a lost: no answer for 10s'

    The kinds, and the attributes that each sets:

    - ``granted``: there is a new lease. *lease*, *ttl*
    - ``registered``: the key was written. *key*, *endpoint*, *lease*, *revision*; *holder*: the
      lease that it was taken from; *reason*: why it was missing
    - ``changed``: edited on our lease; the new value stays. *key*, *endpoint*, *lease*, *revision*
    - ``taken_over``: attached to another lease, and left alone from now on. *key*, *holder*,
      *revision*
    - ``waiting``: attached to another lease, and registered later. *key*, *holder*
    - ``conflict``: attached to another lease, and not registered. *key*, *holder*
    - ``deleted``: deleted by another client, and not put back. *key*
    - ``lost``: the endpoints have expired, or may have. *lease*, *reason*
    - ``regained``: everything is registered again, *seconds* after the loss. *lease*, *seconds*
    - ``withdrawn``: deleted, until `Registration.restore`. *key*, *revision*
    - ``left``: deleted when closing. *key*, *revision*
    - ``revoked``: revoked when closing, or because etcd had no space for a deletion. *lease*
    - ``error``: etcd refused a request or is not reached; retried until the end. *reason*, *error*;
      *key*: the one that was refused

    Attributes:
        kind: What has happened.

        key: The whole key; empty for an event of all keys.

        endpoint: What the key holds; ``None`` if its value can't be read.

        lease: The ID of the registration's lease; 0 for none.

        ttl: The granted TTL in seconds.

        holder: The ID of another lease that the key is, or was, attached to; 0 for none.

        revision: The revision of the change.

        seconds: The time without a registration.

        reason: The reason, as text.

        error: The error, if there was one.
    """

    kind: Kind
    key: str = ""
    endpoint: Endpoint | None = None
    lease: int = 0
    ttl: int = 0
    holder: int = 0
    revision: int = 0
    seconds: float = 0.0
    reason: str = ""
    error: Exception | None = None

    def __repr__(self) -> str:
        fields = zip(self._fields, self, strict=True)
        default = self._field_defaults
        shown = (f"{name}={value!r}" for name, value in fields if value != default.get(name))
        return f"{type(self).__name__}({', '.join(shown)})"

    def __str__(self) -> str:
        return self._sentences()[self.kind]

    def _sentences(self) -> dict[Kind, str]:
        key, lease, holder = self.key, f"lease {self.lease:016x}", f"lease {self.holder:016x}"
        return {
            "granted": f"{lease} granted, with a TTL of {self.ttl}s",
            "registered": self._registered(holder),
            "changed": f"{key} was {edit(self)}",
            "taken_over": f"{key} was taken over by {holder}",
            "waiting": f"{key} is held by {holder}; waiting until it is released",
            "conflict": f"{key} is held by {holder}; not registering it",
            "deleted": f"{key} was deleted by another client; not restoring it",
            "lost": f"{lease} lost: {self.reason}",
            "regained": f"registered again after {self.seconds:.1f}s",
            "withdrawn": f"{key} is withdrawn",
            "left": f"{key} is deregistered",
            "revoked": f"{lease} revoked",
            "error": f"{key} is refused: {self.reason}" if key else self.reason,
        }

    def _registered(self, holder: str) -> str:
        if self.holder:
            return f"{self.key} was taken over from {holder}"
        return f"{self.key} is registered{f' again: {self.reason}' if self.reason else ''}"


def edit(event: RegistrationEvent) -> str:
    """Return what another client changed the endpoint of *event* to, for a sentence."""
    value = "an invalid value"
    if event.endpoint is not None:
        value = f"{event.endpoint.addr} {dumps(event.endpoint.metadata)}"
    return f"changed by another client to {value}; keeping it"


_WARNINGS = {"changed", "taken_over", "waiting", "conflict", "deleted", "lost", "error"}


def is_warning(event: RegistrationEvent) -> bool:
    """Return whether an operator must know of *event*; the others are the normal course."""
    unusual = event.kind == "registered" and bool(event.holder or event.reason)
    return unusual or event.kind in _WARNINGS


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
