"""The lease of a registration: asked for, lost, found alive, replaced, revoked."""

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
from ..etcd.backoff import full_jitter
from ..etcd.lease import LeaseKeeper, LeaseState
from .event import RegistrationEvent
from .trust import Trust

__all__ = ["Hear", "Leasehold"]

SPREAD = 3.0
"""Seconds within which those who lost their leases in one outage ask for new ones."""

Hear: TypeAlias = Callable[[int, LeaseState, str], None]


class Leasehold:
    """
    The one lease that is held, if any, and those before it that may not have ended.

    It belongs to the thread that makes a step. *hear* is called by the keeper's.

    The id is chosen here, so that a grant which was not answered can be repeated, or revoked.
    """

    def __init__(
        self,
        client: Client,
        leases: LeaseKeeper,
        trust: Trust,
        hear: Hear,
        tell: Callable[[RegistrationEvent], None],
    ) -> None:
        self._client, self._leases, self._trust = client, leases, trust
        self._hear, self._tell = hear, tell
        self.id = 0
        self._next = 0
        self._replaced: set[int] = set()
        self._not_before = self._proven_at = 0.0
        self._losses = 0

    @property
    def ours(self) -> frozenset[int]:
        """Every lease that our keys may hang on."""
        return frozenset({self.id, *self._replaced} - {0})

    def ask(self, ttl: int) -> float:
        """Have a lease; if it is too early to ask for one, return how many seconds that is so."""
        if self.id:
            return 0.0
        too_early = self._not_before - time.monotonic()
        if too_early > 0:
            return too_early
        self._next = self._next or _new_id()
        lease = self._client.lease_grant(ttl, lease=self._next)
        self._leases.keep(lease, partial(self._hear, lease.id))  # or ask for the same one again
        self.id, self._next = lease.id, 0
        self._proven_at = time.monotonic() + lease.ttl
        self._trust.begin(lease.id)
        self._tell(RegistrationEvent("granted", lease=lease.id, ttl=lease.ttl))
        return 0.0

    def give_up(self, why: str) -> None:
        """Do without the lease that is held: etcd knows it no more, and another one is needed."""
        lost, outage = self._trust.end()
        if lost:
            self._tell(RegistrationEvent("lost", lease=self.id, reason=why))
        self._leases.forget(self.id)
        self._replaced.add(self.id)
        self.id = 0
        # A lease that is older than its TTL was renewed. If each is lost as soon as it is granted,
        # because of a broken proxy, there would be several a second without growing pauses.
        if time.monotonic() >= self._proven_at:
            self._losses = 0
        # After an outage everybody is here at once; else it was only ours.
        pause = random.uniform(0, SPREAD) if outage else full_jitter(self._losses)
        self._not_before = time.monotonic() + pause
        self._losses += 1

    def confirm(self) -> None:
        """Take notice that all keys are where they should be."""
        for lease in list(self._replaced):
            # If it can't be, for a key hangs on it that we may not delete: it ends by itself.
            with suppress(RefusedError):
                self._revoke(lease)
            self._replaced.discard(lease)
        seconds = self._trust.regain() if self.id else None
        if seconds is not None:
            self._tell(RegistrationEvent("regained", lease=self.id, seconds=seconds))

    def release(self) -> None:
        """Keep the lease alive no longer."""
        self._leases.forget(self.id)

    def abandon(self, why: str) -> None:
        """Let the lease end by itself."""
        self.release()
        if self.id and self._trust.end()[0]:
            self._tell(RegistrationEvent("lost", lease=self.id, reason=why))

    def revoke(self, *, lost: bool) -> int:
        """
        Revoke all leases that our keys may hang on, do without, and return the revision.

        *lost*: some of the keys are to be registered.
        """
        held, self.id = self.id, 0
        self._leases.forget(held)  # it ends even if no answer comes
        self._replaced |= {held} - {0}
        if lost and self._trust.end()[0]:
            self._tell(RegistrationEvent("lost", lease=held, reason="revoked for lack of space"))
        elif not lost:
            self._trust.release()
        revision = 0
        for lease in list(self._replaced):
            with suppress(LeaseNotFoundError):
                revision = self._client.lease_revoke(lease)
                self._tell(RegistrationEvent("revoked", lease=lease, revision=revision))
            self._replaced.discard(lease)
        return revision

    def end(self) -> None:
        """Revoke what there is."""
        self._trust.end()
        held, self.id = self.id, 0
        for lease in (held, self._next, *self._replaced):
            if lease and self._revoke(lease) and lease == held:
                self._tell(RegistrationEvent("revoked", lease=lease))

    def _revoke(self, lease: int) -> bool:
        """Say whether it was there."""
        try:
            self._client.lease_revoke(lease)
        except LeaseNotFoundError:
            return False
        return True


def _new_id() -> int:
    return int.from_bytes(os.urandom(8), "big") >> 1 or 1  # a positive int64
