"""The lease of a registration: granted, lost, found alive, replaced, revoked."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from ..errors import LeaseNotFoundError, RefusedError
from ..etcd import Client
from ..etcd.deadline import full_jitter
from ..etcd.lease import LeaseKeeper, LeaseState
from .status import LeaseHealth, RegistrationEvent

__all__ = ["OnLeaseState", "SessionLease"]

OUTAGE_SPREAD = 2.0
"""Seconds over which registrations that lost their leases in one outage ask for new ones."""

OnLeaseState: TypeAlias = Callable[[int, LeaseState, str], None]


class SessionLease:
    """
    The one lease that is held, if any, and its predecessors that may not have ended.

    It belongs to the thread that executes the loop's step, but for `release`; *on_state* is called
    by the keep-alive threads. Lease ids are chosen here, so that a grant without an answer can be
    repeated, or revoked, without leaking a lease.
    """

    def __init__(
        self,
        client: Client,
        leases: LeaseKeeper,
        health: LeaseHealth,
        on_state: OnLeaseState,
        report: Callable[[RegistrationEvent], None],
    ) -> None:
        self._client, self._leases, self._health = client, leases, health
        self._on_state, self._report = on_state, report
        self.id = 0
        self._next = 0
        self._replaced: set[int] = set()
        self._not_before = self._proven_at = 0.0
        self._losses = 0
        self._released = False

    @property
    def own(self) -> frozenset[int]:
        """Return every lease that the registration's keys may be attached to."""
        return frozenset({self.id, *self._replaced} - {0})

    @property
    def renewal(self) -> tuple[int, float] | None:
        """Return the TTL of the held lease and when it began to run last, by `time.monotonic`."""
        return self._leases.renewal(self.id)

    def acquire(self, ttl: int) -> float:
        """Hold a lease; return the seconds to wait if it is too early to ask for one, else 0."""
        if self.id:
            return 0.0
        too_early = self._not_before - time.monotonic()
        if too_early > 0:
            return too_early
        self._next = self._next or _new_id()
        lease = self._client.lease_grant(ttl, lease=self._next)
        # If this raises, the id is not used up: the next attempt asks for the same lease again.
        self._leases.keep(lease, partial(self._on_state, lease.id))
        self.id, self._next = lease.id, 0
        if self._released:
            self._leases.forget(lease.id)
        self._proven_at = time.monotonic() + lease.ttl
        self._health.begin(lease.id)
        self._report(RegistrationEvent("granted", lease=lease.id, ttl=lease.ttl))
        return 0.0

    def drop(self, reason: str) -> None:
        """Give up the lease that is held: etcd does not know it any more."""
        lost, outage = self._health.end()
        if lost:
            self._report(RegistrationEvent("lost", lease=self.id, reason=reason))
        self._leases.forget(self.id)
        self._replaced.add(self.id)
        self.id = 0
        # A lease that is older than its TTL was renewed. If each lease is lost as soon as it is
        # granted, because of a broken proxy, only growing pauses prevent several grants a second.
        if time.monotonic() >= self._proven_at:
            self._losses = 0
        # After an outage all registrations ask at once; else only this one does.
        pause = random.uniform(0, OUTAGE_SPREAD) if outage else full_jitter(self._losses)
        self._not_before = time.monotonic() + pause
        self._losses += 1

    def confirm(self) -> None:
        """Revoke the replaced leases and end a loss, because all keys are registered."""
        for lease in list(self._replaced):
            # Refused if a key on it is one that this user may not delete: then the lease expires.
            with suppress(RefusedError):
                self._revoke(lease)
            self._replaced.discard(lease)
        seconds = self._health.regain() if self.id else None
        if seconds is not None:
            self._report(RegistrationEvent("regained", lease=self.id, seconds=seconds))

    def release(self) -> None:
        """Renew no lease any longer; from any thread."""
        self._released = True
        self._leases.forget(self.id)

    def abandon(self, reason: str) -> None:
        """Let the lease expire."""
        self.release()
        if self.id and self._health.end()[0]:
            self._report(RegistrationEvent("lost", lease=self.id, reason=reason))

    def revoke(self, *, lost: bool) -> int:
        """
        Revoke all leases that the keys may be attached to, hold none, and return the revision.

        *lost*: some of these keys are to be registered.
        """
        held, self.id = self.id, 0
        self._leases.forget(held)  # it expires even if etcd does not answer
        self._replaced |= {held} - {0}
        if lost and self._health.end()[0]:
            self._report(RegistrationEvent("lost", lease=held, reason="revoked for lack of space"))
        elif not lost:
            self._health.release()
        revision = 0
        for lease in list(self._replaced):
            with suppress(LeaseNotFoundError):
                revision = self._client.lease_revoke(lease)
                self._report(RegistrationEvent("revoked", lease=lease, revision=revision))
            self._replaced.discard(lease)
        return revision

    def end(self) -> None:
        """Revoke every lease, also one whose grant was not answered."""
        self._health.end()
        held, self.id = self.id, 0
        for lease in (held, self._next, *self._replaced):
            if lease and self._revoke(lease) and lease == held:
                self._report(RegistrationEvent("revoked", lease=lease))

    def _revoke(self, lease: int) -> bool:
        """Return whether *lease* existed."""
        try:
            self._client.lease_revoke(lease)
        except LeaseNotFoundError:
            return False
        return True


def _new_id() -> int:
    return int.from_bytes(os.urandom(8), "big") >> 1 or 1  # a positive int64
