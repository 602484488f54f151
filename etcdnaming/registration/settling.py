"""What is to be done about the keys of a registration is done, and told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from .. import keys, wire
from ..errors import (
    ConflictError,
    EtcdError,
    InvalidValueError,
    KeyHeldError,
    LeaseNotFoundError,
)
from ..etcd import Client
from ..etcd.answers import lacks_space
from ..model import Endpoint
from .asking import AT_ONCE, Write, look, parts, write
from .event import Kind, RegistrationEvent
from .rules import Policy, Slot, Stage, Verdict, judge
from .slots import Slots

__all__ = ["DeletionRefusedError", "Settler"]

ATTEMPTS = 10
"""How often others may change our keys between a look and a write before we pause."""


class DeletionRefusedError(EtcdError):
    """Etcd has no space for the transaction that deletes keys."""


class Settler:
    """
    Settles *slots*, for the thread that makes a step; *tell* hears of everything that changes.

    *undone* is what is told of keys that are registered no longer because we do not want them;
    *all_or_nothing*: a conflict is the end, as it is until all were registered.
    """

    def __init__(
        self,
        client: Client,
        slots: Slots,
        policy: Policy,
        tell: Callable[[RegistrationEvent], None],
    ) -> None:
        self._client, self._slots, self._policy, self._tell = client, slots, policy, tell
        self.undone: Kind = "withdrawn"
        self.all_or_nothing = True

    def settle(self, lease: int, ours: AbstractSet[int]) -> list[Slot]:
        """
        Do what is to be done (see `judge`), and return what this was about.

        Without a *lease* that is what is not wanted: the others stay as they are.

        Raises:
            KeyHeldError: Somebody else has a key, and that is not to be borne.
            LeaseNotFoundError: *lease* is gone.
            DeletionRefusedError: Etcd has no space for the transaction that deletes.
            ConflictError: Others change the keys as fast as we look.
        """
        for attempt in range(ATTEMPTS):
            slots = [slot for slot in self._slots.open if lease or not self._is_wanted(slot)]
            look(self._client, [slot for slot in slots if not slot.sure])
            writes = self._judge_all(slots, lease, ours)
            if not writes:
                return self._slots.close(slots)
            # Apart from what is put, which etcd refuses sooner.
            for some in parts([each for each in writes if each.lease is None], _size(attempt)):
                self._delete(some)
            for some in parts([each for each in writes if each.lease], _size(attempt)):
                self._write(some, lease)
        raise ConflictError([keys.decode(each.slot.key) for each in writes], ATTEMPTS)

    def forget(self, leases: AbstractSet[int], revision: int) -> None:
        """Take notice that all keys on *leases*, which were revoked, are gone since *revision*."""
        for slot in self._slots.all:
            if slot.seen is None or slot.seen.lease not in leases:
                continue
            if self._is_wanted(slot):
                self._slots.doubt(slot.key, 0)
            else:
                slot.seen = None
                _let_go(slot)
                self._tell(_event(self.undone, slot)._replace(revision=revision))

    def _judge_all(self, slots: Sequence[Slot], lease: int, ours: AbstractSet[int]) -> list[Write]:
        """Return what has to be written; the others are taken as they are."""
        writes = []
        for slot in slots:
            verdict = self._judge(slot, lease, ours)
            if verdict is Verdict.ADOPT:
                self._adopt(slot)
                verdict = self._judge(slot, lease, ours)
            if verdict is Verdict.PUT:
                writes.append(Write(slot, lease))
            elif verdict is Verdict.DELETE:
                writes.append(Write(slot, None))
            else:
                self._take(slot, verdict, lease)
        return writes

    def _judge(self, slot: Slot, lease: int, ours: AbstractSet[int]) -> Verdict:
        return judge(slot, lease, ours, self._policy, wanted=self._is_wanted(slot))

    def _is_wanted(self, slot: Slot) -> bool:
        return self._slots.wanted and not slot.removed

    def _adopt(self, slot: Slot) -> None:
        if slot.seen:
            self._slots.adopt(slot, slot.seen.value, _endpoint(slot.seen.value))
            self._tell(_event("changed", slot)._replace(lease=slot.seen.lease))

    def _take(self, slot: Slot, verdict: Verdict, lease: int) -> None:
        """Take things as they are."""
        if verdict is Verdict.HOLD:
            _hold(slot, lease)
        elif verdict is Verdict.WAIT:
            self._wait(slot)
        elif verdict is Verdict.CONFLICT:
            self._give_up(slot, "conflict")
            if self.all_or_nothing:
                raise KeyHeldError(keys.decode(slot.key), _holder(slot))
        elif verdict is Verdict.TAKEN:
            self._give_up(slot, "taken_over")
        elif verdict is Verdict.DELETED:
            if self._client.lease_time_to_live(lease) <= 0:
                raise LeaseNotFoundError("etcdserver: requested lease not found")
            self._give_up(slot, "deleted")
        else:
            _let_go(slot)

    def _give_up(self, slot: Slot, kind: Kind) -> None:
        self._tell(_event(kind, slot)._replace(holder=_holder(slot)))
        slot.stage = Stage.OUT

    def _wait(self, slot: Slot) -> None:
        if slot.holder != _holder(slot):
            slot.holder = _holder(slot)
            kind: Kind = "taken_over" if slot.stage is Stage.HELD else "waiting"
            self._tell(_event(kind, slot)._replace(holder=slot.holder))
        _let_go(slot)

    def _delete(self, writes: Sequence[Write]) -> None:
        try:
            revision = write(self._client, writes)
        except EtcdError as exc:
            if lacks_space(exc):
                raise DeletionRefusedError(str(exc)) from exc
            raise
        for each in writes if revision else ():
            _let_go(each.slot)
            self._tell(_event(self.undone, each.slot)._replace(revision=revision))

    def _write(self, writes: Sequence[Write], lease: int) -> None:
        before = [(_taken_from(each.slot), _reason(each.slot, lease)) for each in writes]
        for slot, _ in writes:
            if slot.stage is Stage.HELD and _holder(slot) != slot.lease:
                slot.stage = Stage.AWAY  # until it is written
        if not write(self._client, writes):
            return
        for each, (holder, reason) in zip(writes, before, strict=True):
            _hold(each.slot, lease)
            event = _event("registered", each.slot)
            self._tell(event._replace(lease=lease, holder=holder, reason=reason))


def _size(attempt: int) -> int:
    """
    Return how many keys are written at once.

    Who changes one all the time must not keep us from the others, so they get fewer. But not yet
    when all are there already, nor when all go at once because a predecessor's lease has ended.
    """
    return max(1, AT_ONCE >> 2 * max(0, attempt - 2))


def _event(kind: Kind, slot: Slot) -> RegistrationEvent:
    revision = slot.seen.mod_revision if slot.seen else 0
    return RegistrationEvent(kind, keys.decode(slot.key), slot.endpoint, revision=revision)


def _hold(slot: Slot, lease: int) -> None:
    slot.stage, slot.lease, slot.stored = Stage.HELD, lease, slot.endpoint
    slot.chosen, slot.holder = False, 0


def _let_go(slot: Slot) -> None:
    slot.lease = 0
    if slot.stage is Stage.HELD:
        slot.stage = Stage.AWAY


def _holder(slot: Slot) -> int:
    return slot.seen.lease if slot.seen else 0


def _taken_from(slot: Slot) -> int:
    return _holder(slot) if slot.stage is Stage.NEW else 0


def _reason(slot: Slot, lease: int) -> str:
    """Return why it has to be written again, if it was there, and *lease* is not new."""
    if slot.stage is Stage.AWAY and slot.holder:
        return "nobody else holds it any more"
    if slot.lease != lease or slot.chosen:
        return ""
    return "it was deleted" if slot.seen is None else "it was put without a lease"


def _endpoint(value: bytes) -> Endpoint | None:
    try:
        return wire.decode(value)
    except InvalidValueError:
        return None
