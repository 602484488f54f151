"""What a registration does, step by step, until it is told to leave."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

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
from ..etcd.backoff import full_jitter
from ..etcd.lease import LeaseState
from ..log import logger
from .board import Board, Status
from .event import RegistrationEvent
from .leasehold import Leasehold
from .registrar import Registrar
from .rules import Policy, Slot, Stage
from .settling import DeletionRefusedError, Settler
from .slots import Slots

__all__ = ["Registrant"]

REFUSED_PAUSE = 30.0
"""Seconds until something is tried again that etcd has refused to us."""

LOOK_AGAIN = 30.0
"""Seconds after which the keys are looked at although nothing was heard of them."""

LEAVE = 1.9
"""Seconds that etcd has for letting us go."""

Tell: TypeAlias = Callable[[RegistrationEvent], None]

_log = logger(__name__)


class Registrant:
    """
    Holds a lease, and keys on it, whatever etcd does.

    Everything in it belongs to the thread of the registrar that makes its step, but for `_inbox`,
    which any may post to, and `_asked`. What is told waits in `_news` until the board says the
    same. *strict*: until everything was registered once, what does not heal by waiting is the end.
    """

    def __init__(
        self, client: Client, policy: Policy, board: Board, tell: Tell, *, strict: bool
    ) -> None:
        self._policy, self._board, self._tell, self._strict = policy, board, tell, strict
        self._inbox: deque[Callable[[], None]] = deque()
        self._asking = threading.RLock()  # a signal's handler may ask in the middle of asking
        self._asked = self._done = 0
        self._news: list[RegistrationEvent] = []
        self.slots = Slots()
        self._settler = Settler(client, self.slots, policy, self._news.append)
        self._registrar = Registrar.join(client)
        self._lease = Leasehold(
            client, self._registrar.leases, board.trust, self._hear, self._news.append
        )
        self._look_at = 0.0
        self._failures = 0
        self._told: set[str] = set()
        self._leaving = self._ended = self._clean = False
        self._failure: Exception | None = None
        self._registrar.admit(self)

    @property
    def asked(self) -> int:
        """How much was asked for until now; see `Status.done`."""
        with self._asking:
            return self._asked

    def let_be_told(self, timeout: float) -> None:
        """Return when all that has happened was told, at the latest after *timeout* seconds."""
        if self._registrar.is_telling:
            return  # who is told something can't wait until he was told it
        told = self._board.all_told
        if not self._board.status.ended:
            told = threading.Event()
            self._registrar.tell(told.set)
        told.wait(timeout)

    def ask(self, work: Callable[[], None]) -> None:
        """Have *work* done before the next step, and counted; from any thread."""
        with self._asking:
            self._asked += 1  # before it can be done, so that nobody waits for too little
        self._post(partial(self._do, work))

    def leave(self) -> None:
        """Go with the next step, which is before all that others have to do; from any thread."""
        self._leaving = True
        self._registrar.wake(self, urgent=True)

    def key_changed(self, key: bytes, revision: int) -> None:
        """Look at *key* with the next step, if it was not us who changed it."""
        self._post(partial(self.slots.doubt, key, revision))

    def abandon(self) -> None:
        """End without another call of etcd: the client was closed."""
        self._failure, self._ended = ClientClosedError(), True
        self._lease.abandon(str(self._failure))
        self._publish()
        self._registrar.tell(self._board.all_told.set)

    def after_fork(self) -> None:
        """Be over in a child: the lease and the keys are the parent's."""
        self._board.after_fork()

    def step(self) -> float | None:
        """Do what there is to do; return the seconds until there may be more."""
        if self._ended:
            return None
        if not self._leaving:
            self._do_what_was_posted()
        pause = 0.0 if self._leaving else self._try_to_go_on()
        if self._leaving:
            self._leave()
        self._publish()
        return None if self._ended else pause

    def _post(self, work: Callable[[], None]) -> None:
        self._inbox.append(work)
        self._registrar.wake(self)

    def _do(self, work: Callable[[], None]) -> None:
        work()
        self._done += 1

    def _do_what_was_posted(self) -> None:
        while self._inbox:
            self._inbox[0]()  # if it fails it is done again: nothing that was asked for is lost
            self._inbox.popleft()

    def _hear(self, lease: int, state: LeaseState, why: str) -> None:
        """Hear of *lease*, in the keeper's thread; that it is lost is told whatever we wait for."""
        if state is LeaseState.BLOCKED:
            self._tell_of(RegistrationEvent("error", reason=why, error=EtcdError(why)))
            return
        if state is LeaseState.GONE:
            self._post(partial(self._gone, lease, why))
        elif self._board.trust.hear(lease, silent=state is LeaseState.SILENT):
            self._tell_of(RegistrationEvent("lost", lease=lease, reason=why))
        if state is LeaseState.ALIVE:
            self._post(self.slots.doubt_all)

    def _gone(self, lease: int, why: str) -> None:
        if lease == self._lease.id:
            self._lease.give_up(why)

    def _try_to_go_on(self) -> float:
        try:
            return self._go_on()
        except LeaseNotFoundError as exc:
            self._lease.give_up(str(exc))
            return 0.0
        except EtcdnamingError as exc:
            return self._survive(exc)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the endpoints must not stay away
            _log.exception("a registration goes on after an error")
            self.slots.doubt_all()
            return self._survive(exc)

    def _go_on(self) -> float:
        if not self._lease.id:
            self._settle()  # what is to be deleted waits for no lease
        if self._lease.id or self.slots.wanted:
            held = self._lease.id
            too_early = self._lease.ask(self._policy.ttl)
            if too_early:
                return too_early
            if self._lease.id != held:
                self.slots.doubt_all()
                self._publish()
            elif self._board.trust.intact and time.monotonic() >= self._look_at:
                self.slots.doubt_all()
            self._settle()
            if not self._lease.id:
                return 0.0  # it had to be revoked, and what is to stay needs another one
        self._lease.confirm()
        self._strict, self._settler.all_or_nothing = False, False
        self._failures = 0
        self._told.clear()
        pause = LOOK_AGAIN * random.uniform(0.9, 1.1)
        self._look_at = time.monotonic() + pause
        return pause

    def _settle(self) -> None:
        done = self._settle_keys()
        try:
            for slot in done:
                self._follow(slot)
        except ConnectionFailedError:
            self.slots.doubt_all()  # so that they are followed after the next attempt
            raise

    def _settle_keys(self) -> list[Slot]:
        try:
            return self._settler.settle(self._lease.id, self._lease.ours)
        except DeletionRefusedError:
            # What is to be deleted is unhealthy, or about to end. Etcd lacks the space for a
            # transaction, but not for the end of a lease, with which all keys on it go.
            leases = self._lease.ours
            revision = self._lease.revoke(lost=self.slots.wanted)
            self._settler.forget(leases, revision)
        return self._settler.settle(self._lease.id, self._lease.ours)

    def _follow(self, slot: Slot) -> None:
        if slot.removed or slot.stage is Stage.OUT:
            self._registrar.unfollow(self, slot.key)
        else:
            self._registrar.follow(self, slot.key)

    def _survive(self, exc: Exception) -> float:
        """Return how long to pause before the next attempt."""
        refused = isinstance(exc, (AuthenticationError, PermissionDeniedError))
        hopeless = refused or not isinstance(exc, EtcdnamingError) or isinstance(exc, TLSError)
        if isinstance(exc, KeyHeldError) or (self._strict and hopeless):
            self._failure, self._leaving = exc, True
        elif self._is_news(exc):
            self._told.add(str(exc))
            self._news.append(RegistrationEvent("error", reason=str(exc), error=exc))
        self._failures += 1
        if refused:
            return REFUSED_PAUSE * random.uniform(0.9, 1.1)
        return full_jitter(self._failures)

    def _is_news(self, exc: Exception) -> bool:
        passing = isinstance(exc, (ConnectionFailedError, OutcomeUnknownError))
        # Neither a full database nor a broken file is repaired by waiting.
        passing = passing and not isinstance(exc, (NoSpaceError, TLSError))
        if passing and (self._is_registered or self._board.trust.lost):
            return False  # if it lasts it is told that the lease is lost, and why
        return str(exc) not in self._told

    def _leave(self) -> None:
        """Leave nothing behind, as far as etcd lets us."""
        self.slots.want(wanted=False)
        self._settler.undone = "left"
        self._lease.release()
        with within(LEAVE):
            deleted = self._try_to(self._settle_keys)
            revoked = self._try_to(self._lease.end)
        self._clean, self._ended = deleted and revoked, True
        self._publish()
        self._registrar.tell(self._board.all_told.set)
        for key in self.slots.keys:
            self._registrar.unfollow(self, key)
        self._registrar.part(self)

    def _try_to(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except EtcdnamingError as exc:
            self._news.append(RegistrationEvent("error", reason=str(exc), error=exc))
            return False
        return True

    @property
    def _is_registered(self) -> bool:
        return self._board.trust.intact and self.slots.wanted and self.slots.held

    def _publish(self) -> None:
        self._board.put_up(
            Status(
                lease=self._lease.id,
                registered=self._is_registered,
                settled=self.slots.settled,
                wanted=self.slots.wanted,
                done=self._done,
                endpoints=self.slots.endpoints,
                ended=self._ended,
                clean=self._clean,
                failure=self._failure,
            )
        )
        for event in self._news:
            self._tell_of(event)
        self._news.clear()

    def _tell_of(self, event: RegistrationEvent) -> None:
        self._registrar.tell(partial(self._tell, event))
