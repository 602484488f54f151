"""
The keys of a registration, and what to do for each state a key can be in.

Any client of etcd may change a key at any moment. So an action is decided from what was read, as a
function of facts, and is written only if that is still stored.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from .. import keys
from ..model import Endpoint

__all__ = [
    "Action",
    "EncodedEndpoint",
    "KeyState",
    "OnConflict",
    "OnDelete",
    "Policy",
    "RegisteredKey",
    "RegisteredKeys",
    "StoredValue",
    "decide",
]

OnConflict: TypeAlias = Literal["takeover", "wait", "fail"]
OnDelete: TypeAlias = Literal["restore", "leave"]


class Policy(NamedTuple):
    """What the caller has decided. *ttl* is in seconds."""

    ttl: int
    on_conflict: OnConflict
    on_delete: OnDelete


class StoredValue(NamedTuple):
    """What etcd holds at a key."""

    mod_revision: int
    lease: int
    value: bytes


class KeyState(enum.Enum):
    """How far the registration of a key has come."""

    NEW = enum.auto()
    """Never registered: only now may it be taken over from another lease."""

    REGISTERED = enum.auto()
    """Registered on ``RegisteredKey.lease`` when last read."""

    UNREGISTERED = enum.auto()
    """It was registered once."""

    GIVEN_UP = enum.auto()
    """Taken over or deleted by another client: never touched again."""


class Action(enum.Enum):
    """What to do about a key."""

    NOTHING = enum.auto()
    KEEP = enum.auto()
    """It is registered as it should be."""

    PUT = enum.auto()
    DELETE = enum.auto()
    ADOPT = enum.auto()
    """The stored value is the registered one from now on."""

    WAIT = enum.auto()
    REPORT_CONFLICT = enum.auto()
    REPORT_TAKEN_OVER = enum.auto()
    REPORT_DELETED = enum.auto()
    """Another client deleted it, and it stays away, unless it went with the lease."""


class RegisteredKey:
    """
    A key of a registration, and what is known of it.

    *value* is to be stored; it means *endpoint*, if it can be read. *unsaved*: the caller set it,
    and it was not written yet. *removed*: nothing is to be stored any more. *seen* is what etcd
    held when it was last read; *current*: no later change is known. *lease* is the one of ours on
    which it was last registered, *stored* the endpoint that etcd held on it, and *holder* the
    foreign lease that was last reported.
    """

    __slots__ = (
        "current",
        "endpoint",
        "holder",
        "key",
        "lease",
        "removed",
        "seen",
        "state",
        "stored",
        "unsaved",
        "value",
    )

    def __init__(self, key: bytes, value: bytes, endpoint: Endpoint | None) -> None:
        self.key, self.value, self.endpoint = key, value, endpoint
        self.stored: Endpoint | None = None
        self.unsaved, self.removed = True, False
        self.state = KeyState.NEW
        self.lease = self.holder = 0
        # Most new keys are absent: assume so and save a read; the write compares it.
        self.seen: StoredValue | None = None
        self.current = True


def decide(
    key: RegisteredKey, lease: int, own: AbstractSet[int], policy: Policy, *, wanted: bool
) -> Action:
    """
    Return what to do about *key*, which is *wanted* in etcd or not.

    *lease* is the one that is held, *own* are that one and its predecessors.
    """
    if key.state is KeyState.GIVEN_UP:
        return Action.NOTHING
    if not wanted:
        return _unwanted(key, own)
    if key.seen is None:
        return _absent(key, lease, policy)
    if key.seen.lease == 0:
        return Action.PUT
    if key.seen.lease in own:
        return _on_own_lease(key, key.seen, lease)
    return _on_another_lease(key, policy)


def _unwanted(key: RegisteredKey, own: AbstractSet[int]) -> Action:
    if key.seen is None:
        return Action.NOTHING
    if key.seen.lease in own:
        return Action.DELETE
    detached = key.seen.lease == 0 and key.seen.value == key.value
    return Action.DELETE if detached and key.state is KeyState.REGISTERED else Action.NOTHING


def _absent(key: RegisteredKey, lease: int, policy: Policy) -> Action:
    # The end of a lease removes its keys: only on the same lease was the key itself deleted.
    deleted = key.state is KeyState.REGISTERED and key.lease == lease
    return Action.REPORT_DELETED if deleted and policy.on_delete == "leave" else Action.PUT


def _on_own_lease(key: RegisteredKey, seen: StoredValue, lease: int) -> Action:
    if seen.value != key.value:
        return Action.PUT if key.unsaved else Action.ADOPT
    return Action.KEEP if seen.lease == lease else Action.PUT


def _on_another_lease(key: RegisteredKey, policy: Policy) -> Action:
    if policy.on_conflict == "wait":
        return Action.WAIT
    if key.state is not KeyState.NEW:
        return Action.REPORT_TAKEN_OVER
    return Action.PUT if policy.on_conflict == "takeover" else Action.REPORT_CONFLICT


class EncodedEndpoint(NamedTuple):
    """An endpoint, and the value that is stored for it."""

    endpoint: Endpoint
    value: bytes


class RegisteredKeys:
    """
    All keys of one registration. They belong to the thread that executes the loop's step.

    *wanted* is false while none of them is to be registered. *endpoints*, what etcd holds of them,
    is replaced and never changed, so that other threads may read it.
    """

    def __init__(self) -> None:
        self._keys: dict[bytes, RegisteredKey] = {}
        self._open: dict[bytes, RegisteredKey] = {}
        self.wanted = True
        self.endpoints: Mapping[str, Endpoint | None] = {}

    @property
    def names(self) -> Collection[bytes]:
        """Return the keys as etcd names them."""
        return self._keys.keys()

    @property
    def all(self) -> Collection[RegisteredKey]:
        """Return all keys."""
        return self._keys.values()

    @property
    def open(self) -> Collection[RegisteredKey]:
        """Return the keys for which there is, or may be, something to do."""
        return self._open.values()

    @property
    def settled(self) -> bool:
        """Return whether there is nothing to do or to wait for, as far as known."""
        return not any(self._is_pending(key) for key in self._keys.values())

    @property
    def registered(self) -> bool:
        """Return whether every key is registered, as far as known."""
        return all(key.state is KeyState.REGISTERED for key in self._keys.values())

    def set(self, endpoints: Mapping[bytes, EncodedEndpoint]) -> None:
        """Register *endpoints* from now on, at these keys."""
        for name, (endpoint, value) in endpoints.items():
            key = self._keys.setdefault(name, RegisteredKey(name, value, endpoint))
            key.value, key.endpoint = value, endpoint
            key.unsaved, key.removed = True, False
            self._open[name] = key

    def remove(self, name: bytes) -> None:
        """Register nothing at the key *name* any longer."""
        key = self._keys.get(name)
        if key:
            key.removed = True
            self._open[name] = key

    def want(self, *, wanted: bool) -> None:
        """Register all keys, or none."""
        self.wanted = wanted
        self._open.update(self._keys)

    def doubt(self, name: bytes, revision: int) -> None:
        """Read the key *name* again: it was changed at *revision*, or (0) may have been."""
        key = self._keys.get(name)
        if key and not (key.seen and key.seen.mod_revision == revision):  # our own write
            key.current = False
            self._open[name] = key

    def doubt_all(self) -> None:
        """Read every key again, but for those never written."""
        for key in self._keys.values():
            if key.state is not KeyState.NEW:
                self.doubt(key.key, 0)

    def close(self, done: list[RegisteredKey]) -> list[RegisteredKey]:
        """Mark keys as done, and return them."""
        for key in done:
            del self._open[key.key]
            if key.removed:
                del self._keys[key.key]
        if done:
            held = [key for key in self._keys.values() if key.state is KeyState.REGISTERED]
            self.endpoints = MappingProxyType({keys.decode(key.key): key.stored for key in held})
        return done

    def _is_pending(self, key: RegisteredKey) -> bool:
        if key.state is KeyState.GIVEN_UP:
            return False
        if key.removed or not self.wanted:
            return key.state is KeyState.REGISTERED or not key.current  # it may be stored
        return key.unsaved or key.state is not KeyState.REGISTERED
