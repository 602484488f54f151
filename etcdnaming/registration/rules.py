"""
What is done for each state a key can be in: the rules of registration, as a function of facts.

A key may be changed by anybody at any moment, so a verdict is about what was seen, and whoever
acts on it writes only if that is still so.
"""

from __future__ import annotations

import enum
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple, TypeAlias

from ..model import Endpoint

__all__ = ["OnConflict", "OnDelete", "Policy", "Seen", "Slot", "Stage", "Verdict", "judge"]

OnConflict: TypeAlias = Literal["takeover", "wait", "fail"]
OnDelete: TypeAlias = Literal["restore", "leave"]


class Policy(NamedTuple):
    """What the caller has decided. *ttl* is in seconds."""

    ttl: int
    on_conflict: OnConflict
    on_delete: OnDelete


class Seen(NamedTuple):
    """What etcd holds at a key."""

    mod_revision: int
    lease: int
    value: bytes


class Stage(enum.Enum):
    """How far a key has come."""

    NEW = enum.auto()
    """It was never registered: only now may it be taken from somebody."""

    HELD = enum.auto()
    """It was registered, on ``Slot.lease``, when last seen."""

    AWAY = enum.auto()
    """It was registered once."""

    OUT = enum.auto()
    """Others have taken or deleted it: it is not touched any more."""


class Verdict(enum.Enum):
    """What to do about a key."""

    NOTHING = enum.auto()
    HOLD = enum.auto()
    """It is as it should be."""

    PUT = enum.auto()
    DELETE = enum.auto()
    ADOPT = enum.auto()
    """The value it has is the registered one from now on."""

    WAIT = enum.auto()
    CONFLICT = enum.auto()
    TAKEN = enum.auto()
    DELETED = enum.auto()
    """Somebody deleted it, and that stands, unless it was the end of the lease."""


class Slot:
    """
    A key of a registration, and what we know of it.

    *value* is what is to be stored (*endpoint*, if it can be read), *chosen* says that this was not
    done yet, *removed* that nothing is to be stored any more. *seen* is what etcd held when we
    looked last, *sure* that nothing is known to have happened since. *lease* is ours that it was
    last registered on, *stored* the endpoint that etcd held on it, *holder* the lease of somebody
    else which was told of last.
    """

    __slots__ = (
        "chosen",
        "endpoint",
        "holder",
        "key",
        "lease",
        "removed",
        "seen",
        "stage",
        "stored",
        "sure",
        "value",
    )

    def __init__(self, key: bytes, value: bytes, endpoint: Endpoint | None) -> None:
        self.key, self.value, self.endpoint = key, value, endpoint
        self.stored: Endpoint | None = None
        self.chosen, self.removed = True, False
        self.stage = Stage.NEW
        self.lease = self.holder = 0
        # Nobody has it: likely enough to try without a look.
        self.seen: Seen | None = None
        self.sure = True


def judge(
    slot: Slot, lease: int, ours: AbstractSet[int], policy: Policy, *, wanted: bool
) -> Verdict:
    """
    Say what to do about *slot*, which is *wanted* in etcd or not.

    *lease* is the one we have, *ours* are that and those we had before it.
    """
    if slot.stage is Stage.OUT:
        return Verdict.NOTHING
    if not wanted:
        return _unwanted(slot, ours)
    if slot.seen is None:
        return _absent(slot, lease, policy)
    if slot.seen.lease == 0:
        return Verdict.PUT
    if slot.seen.lease in ours:
        return _on_our_lease(slot, slot.seen, lease)
    return _on_another_lease(slot, policy)


def _unwanted(slot: Slot, ours: AbstractSet[int]) -> Verdict:
    if slot.seen is None:
        return Verdict.NOTHING
    if slot.seen.lease in ours:
        return Verdict.DELETE
    abandoned = slot.seen.lease == 0 and slot.seen.value == slot.value
    return Verdict.DELETE if abandoned and slot.stage is Stage.HELD else Verdict.NOTHING


def _absent(slot: Slot, lease: int, policy: Policy) -> Verdict:
    # With a lease that has ended its keys went, too: nobody has deleted them.
    deleted = slot.stage is Stage.HELD and slot.lease == lease
    return Verdict.DELETED if deleted and policy.on_delete == "leave" else Verdict.PUT


def _on_our_lease(slot: Slot, seen: Seen, lease: int) -> Verdict:
    if seen.value != slot.value:
        return Verdict.PUT if slot.chosen else Verdict.ADOPT
    return Verdict.HOLD if seen.lease == lease else Verdict.PUT


def _on_another_lease(slot: Slot, policy: Policy) -> Verdict:
    if policy.on_conflict == "wait":
        return Verdict.WAIT
    if slot.stage is not Stage.NEW:
        return Verdict.TAKEN
    return Verdict.PUT if policy.on_conflict == "takeover" else Verdict.CONFLICT
