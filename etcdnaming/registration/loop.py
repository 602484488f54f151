"""Keep one registration alive, step by step, until it is closed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from ..errors import (
    AuthenticationError,
    ClientClosedError,
    ConnectionFailedError,
    EtcdError,
    EtcdnamingError,
    KeyHeldError,
    LeaseNotFoundError,
    NoSpaceError,
    OutcomeUnknownError,
    PermissionDeniedError,
    TLSError,
)
from ..etcd import Client, within
from ..etcd.deadline import full_jitter, jittered
from ..etcd.lease import LeaseState
from ..log import logger
from .client_registrations import ClientRegistrations
from .reconciler import DeletionRefusedError, Reconciler
from .rules import KeyState, Policy, RegisteredKey, RegisteredKeys
from .session_lease import SessionLease
from .status import RegistrationEvent, RegistrationStatus, StatusReport

__all__ = ["RegistrationLoop"]

REFUSED_RETRY_PAUSE = 30.0
"""Seconds until a refused request is tried again."""

RECHECK_INTERVAL = 30.0
"""Seconds after which the keys are read although no change was reported."""

LEAVE_TIMEOUT = 1.9
"""Seconds for deleting the keys and revoking the lease when closing."""

MAX_REPORTED_KEYS = 10
"""Refused keys that one attempt reports; of the others, their number."""

_log = logger(__name__)


class RegistrationLoop:
    """
    Holds a lease, and keys on it, whatever happens to etcd.

    Everything belongs to the thread of the executor that executes `step`, with two exceptions. Any
    thread may append to `_inbox`. `_requested` counts what the caller requested, under a lock that
    is reentrant because a signal handler may interrupt a request with another one.

    Events wait in `_events` until the status says the same, so that a callback that reads the
    status finds it. *strict*: until everything was registered once, an error that waiting can't
    heal ends the loop.
    """

    def __init__(
        self,
        client: Client,
        policy: Policy,
        status: RegistrationStatus,
        callback: Callable[[RegistrationEvent], None],
        *,
        strict: bool,
    ) -> None:
        self._policy, self._status, self._callback = policy, status, callback
        self._strict = strict
        self._inbox: list[Callable[[], None]] = []  # a deque takes ten times the memory
        self._requesting = threading.RLock()
        self._requested = self._done = 0
        self._events: list[RegistrationEvent] = []
        self.keys = RegisteredKeys()
        self._reconciler = Reconciler(client, self.keys, policy, self._events.append)
        self._shared = ClientRegistrations.of(client)
        self._lease = SessionLease(
            client,
            self._shared.leases,
            status.health,
            self._lease_state_changed,
            self._events.append,
        )
        self._recheck_at = 0.0
        self._failures = 0
        self._reported_errors: set[str] = set()
        self._leaving = self._ended = self._clean = False
        self._failure: Exception | None = None
        self._shared.add(self)

    @property
    def requested(self) -> int:
        """Return the number of requests until now; see `StatusReport.done`."""
        with self._requesting:
            return self._requested

    @property
    def renewal(self) -> tuple[int, float] | None:
        """Return the TTL of the lease and when it began to run last; from any thread."""
        return self._lease.renewal

    def wait_for_callbacks(self, timeout: float) -> None:
        """Return when all events until now were passed on, after at most *timeout* seconds."""
        if self._shared.in_callback:
            return  # a callback can't wait for itself
        done = self._status.callbacks_done
        if not self._status.current.ended:
            done = threading.Event()
            self._shared.call_back(done.set)
        done.wait(timeout)

    def request(self, work: Callable[[], None]) -> None:
        """Have *work* done before the next step, and counted; from any thread."""
        with self._requesting:
            # Counted before it can be done, so that no waiter waits for too small a number.
            self._requested += 1
        self._post(partial(self._do, work))

    def leave(self) -> None:
        """
        End with the next step, which precedes all other registrations'; from any thread.

        The lease is renewed no longer from now on: a call under way may delay that step for longer
        than the caller waits.
        """
        self._leaving = True
        self._lease.release()
        self._shared.wake(self, urgent=True)

    def key_changed(self, key: bytes, revision: int) -> None:
        """Read *key* in the next step, if the change was not our own."""
        self._post(partial(self.keys.doubt, key, revision))

    def abandon(self) -> None:
        """End without another call of etcd: the client was closed."""
        self._failure, self._ended = ClientClosedError(), True
        self._lease.abandon(str(self._failure))
        self._publish()
        self._shared.call_back(self._status.callbacks_done.set)

    def after_fork(self) -> None:
        """End in a child process: the lease and the keys are the parent's."""
        self._requesting = threading.RLock()
        self._status.after_fork()

    def step(self) -> float | None:
        """Do what there is to do; return the seconds until there may be more."""
        if self._ended:
            return None
        if not self._leaving:
            self._read_inbox()
        pause = 0.0 if self._leaving else self._try_to_register()
        if self._leaving:
            self._leave()
        self._publish()
        return None if self._ended else pause

    def _post(self, work: Callable[[], None]) -> None:
        self._inbox.append(work)
        self._shared.wake(self)

    def _do(self, work: Callable[[], None]) -> None:
        work()
        self._done += 1

    def _read_inbox(self) -> None:
        while self._inbox:
            self._inbox[0]()  # removed after it is done: if it fails it is repeated, not lost
            del self._inbox[0]

    def _lease_state_changed(self, lease: int, state: LeaseState, reason: str) -> None:
        """Note the new state of *lease*, in a keep-alive thread; a loss is reported at once."""
        if state is LeaseState.BLOCKED:
            self._call_back(RegistrationEvent("error", reason=reason, error=EtcdError(reason)))
            return
        if state is LeaseState.GONE:
            self._post(partial(self._drop_lease, lease, reason))
        elif self._status.health.update(lease, silent=state is LeaseState.SILENT):
            self._call_back(RegistrationEvent("lost", lease=lease, reason=reason))
        if state is LeaseState.ALIVE:
            self._post(self.keys.doubt_all)

    def _drop_lease(self, lease: int, reason: str) -> None:
        if lease == self._lease.id:
            self._lease.drop(reason)

    def _try_to_register(self) -> float:
        try:
            return self._register()
        except LeaseNotFoundError as exc:
            self._lease.drop(str(exc))
            return 0.0
        except EtcdnamingError as exc:
            return self._handle_error(exc)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the endpoints must come back
            _log.exception("a registration goes on after an error")
            self.keys.doubt_all()
            return self._handle_error(exc)

    def _register(self) -> float:
        """Make etcd hold what is wanted; return the seconds until the next look."""
        if not self._lease.id:
            self._reconcile()  # a deletion waits for no lease
        if self._lease.id or self.keys.wanted:
            held = self._lease.id
            too_early = self._lease.acquire(self._policy.ttl)
            if too_early:
                return too_early
            if self._lease.id != held:
                self.keys.doubt_all()
                self._publish()
            elif self._status.health.intact and time.monotonic() >= self._recheck_at:
                self.keys.doubt_all()
            self._reconcile()
            if not self._lease.id:
                return 0.0  # it was revoked for lack of space, and the other keys need a new one
        self._lease.confirm()
        self._reconciler.raise_refusal()
        self._strict, self._reconciler.all_or_nothing = False, False
        self._failures = 0
        self._reported_errors.clear()
        pause = jittered(RECHECK_INTERVAL)
        self._recheck_at = time.monotonic() + pause
        return pause

    def _reconcile(self) -> None:
        done = self._reconcile_keys()
        try:
            for key in done:
                self._watch(key)
        except ConnectionFailedError:
            self.keys.doubt_all()  # so that they are watched after the next attempt
            raise

    def _reconcile_keys(self) -> list[RegisteredKey]:
        try:
            return self._reconciler.reconcile(self._lease.id, self._lease.own)
        except DeletionRefusedError:
            # The keys to be deleted are unhealthy, or the process is about to end. etcd lacks the
            # space for a transaction, but not for revoking a lease, which deletes all its keys.
            leases = self._lease.own
            revision = self._lease.revoke(lost=self.keys.wanted)
            self._reconciler.revoked(leases, revision)
        return self._reconciler.reconcile(self._lease.id, self._lease.own)

    def _watch(self, key: RegisteredKey) -> None:
        if key.removed or key.state is KeyState.GIVEN_UP:
            self._shared.unwatch_key(self, key.key)
        else:
            self._shared.watch_key(self, key.key)

    def _handle_error(self, exc: Exception) -> float:
        """Report *exc*, or end because of it; return the seconds until the next attempt."""
        refused = isinstance(exc, (AuthenticationError, PermissionDeniedError))
        hopeless = refused or not isinstance(exc, EtcdnamingError) or isinstance(exc, TLSError)
        if isinstance(exc, KeyHeldError) or (self._strict and hopeless):
            self._failure, self._leaving = exc, True
            self._report_refused_keys(but=exc)
        else:
            self._report_refused_keys()
            if exc not in self._reconciler.refused.values() and self._is_new_error(exc):
                self._reported_errors.add(str(exc))
                self._events.append(RegistrationEvent("error", reason=str(exc), error=exc))
        self._failures += 1
        if refused:
            return jittered(REFUSED_RETRY_PAUSE)
        return full_jitter(self._failures)

    def _report_refused_keys(self, *, but: Exception | None = None) -> None:
        """Report each key that etcd refused, and why, once; not the one with the error *but*."""
        found = [
            RegistrationEvent("error", key, reason=str(exc), error=exc)
            for key, exc in self._reconciler.refused.items()
            if exc is not but
        ]
        new = [event for event in found if str(event) not in self._reported_errors]
        self._reported_errors.update(map(str, new))
        self._events += new[:MAX_REPORTED_KEYS]
        more = len(new) - MAX_REPORTED_KEYS
        if more > 0:
            reason = f"{more} more endpoints are refused"
            self._events.append(RegistrationEvent("error", reason=reason, error=new[-1].error))

    def _is_new_error(self, exc: Exception) -> bool:
        passing = isinstance(exc, (ConnectionFailedError, OutcomeUnknownError))
        # Neither a full database nor a broken file is repaired by waiting.
        passing = passing and not isinstance(exc, (NoSpaceError, TLSError))
        if passing and (self._is_registered or self._status.health.lost):
            return False  # if it lasts, the loss of the lease is reported, with its reason
        return str(exc) not in self._reported_errors

    def _leave(self) -> None:
        """Leave nothing behind, as far as etcd allows it."""
        self.keys.want(wanted=False)
        self._reconciler.removal = "left"
        self._lease.release()
        with within(LEAVE_TIMEOUT):
            deleted = self._try_to(self._reconcile_keys)
            deleted = not self._reconciler.refused and deleted
            self._reported_errors.clear()
            self._report_refused_keys()
            revoked = self._try_to(self._lease.end)
        self._clean, self._ended = deleted and revoked, True
        self._publish()
        self._shared.call_back(self._status.callbacks_done.set)
        for key in self.keys.names:
            self._shared.unwatch_key(self, key)
        self._shared.remove(self)

    def _try_to(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except EtcdnamingError as exc:
            self._events.append(RegistrationEvent("error", reason=str(exc), error=exc))
            return False
        return True

    @property
    def _is_registered(self) -> bool:
        return self._status.health.intact and self.keys.wanted and self.keys.registered

    def _publish(self) -> None:
        self._status.publish(
            StatusReport(
                lease=self._lease.id,
                registered=self._is_registered,
                settled=self.keys.settled,
                wanted=self.keys.wanted,
                done=self._done,
                endpoints=self.keys.endpoints,
                ended=self._ended,
                clean=self._clean,
                failure=self._failure,
            )
        )
        for event in self._events:
            self._call_back(event)
        self._events.clear()

    def _call_back(self, event: RegistrationEvent) -> None:
        self._shared.call_back(partial(self._callback, event))
