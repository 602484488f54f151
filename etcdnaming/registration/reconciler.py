"""
Make etcd hold the keys of a registration: read, decide, write what is still as it was read.

Every write is a compare: a key that changed since it was read is not overwritten but read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial

from .. import keys, wire
from ..errors import (
    ConflictError,
    EtcdError,
    InvalidValueError,
    KeyHeldError,
    LeaseNotFoundError,
    NotNowError,
    RefusedError,
)
from ..etcd import Client
from ..etcd.answers import lacks_space
from ..etcd.columns import KeyValue
from ..etcd.transactions import Compare, Delete, Get, Put, look_up, transact
from ..model import Endpoint
from .rules import Action, KeyState, Policy, RegisteredKey, RegisteredKeys, StoredValue, decide
from .status import Kind, RegistrationEvent

__all__ = ["DeletionRefusedError", "Reconciler"]

BATCH_SIZE = 32
"""Keys in one transaction. A server may be configured to take less than the default of 128."""

MAX_PASSES = 10
"""Passes in which other clients may change the keys between a read and a write, before a pause."""

MAX_REFUSALS = 200
"""Refused transactions of one attempt, before a pause: a refused batch is divided."""


class DeletionRefusedError(EtcdError):
    """etcd has no space for the transaction that deletes keys."""


class Reconciler:
    """
    Makes etcd hold *registered_keys*; every change is passed to *report*.

    It belongs to the thread that executes the loop's step. *removal* is the event for a deleted
    key. *all_or_nothing*: a conflict is an error, as it is until all keys were registered once.
    """

    def __init__(
        self,
        client: Client,
        registered_keys: RegisteredKeys,
        policy: Policy,
        report: Callable[[RegistrationEvent], None],
    ) -> None:
        self._client, self._keys = client, registered_keys
        self._policy, self._report = policy, report
        self._refused: dict[RegisteredKey, RefusedError] = {}
        self._refusals = 0
        self.removal: Kind = "withdrawn"
        self.all_or_nothing = True

    def reconcile(self, lease: int, own: AbstractSet[int]) -> list[RegisteredKey]:
        """
        Do what `decide` says for each open key, and return these keys, but for the refused ones.

        Without a *lease* only unwanted keys are handled. *own* are all leases of the registration.

        Raises:
            KeyHeldError: A key is attached to another lease, and the policy does not allow that.
            LeaseNotFoundError: *lease* is gone.
            DeletionRefusedError: etcd has no space for the transaction that deletes.
            ConflictError: Other clients change the keys as fast as they are read.
        """
        self._refused, self._refusals = {}, 0
        for attempt in range(MAX_PASSES):
            unread = [key for key in self._open_keys(lease) if not key.current]
            self._in_batches(self._read, unread, BATCH_SIZE)
            open_keys = self._open_keys(lease)
            puts, deletions = self._decide_all(open_keys, lease, own)
            if not puts and not deletions:
                return self._keys.close(open_keys)
            # Deletions go first and apart from puts, which etcd refuses sooner for lack of space.
            size = _batch_size(attempt)
            self._in_batches(self._delete, deletions, size)
            self._in_batches(partial(self._put, lease=lease), puts, size)
        raise ConflictError([keys.decode(key.key) for key in (*deletions, *puts)], MAX_PASSES)

    @property
    def refused(self) -> Mapping[str, RefusedError]:
        """Return the keys that etcd refused in the last `reconcile`, and why."""
        return {keys.decode(key.key): exc for key, exc in self._refused.items()}

    def raise_refusal(self) -> None:
        """
        Raise why etcd refused a key in the last `reconcile`, if it did.

        Raises:
            RefusedError: A permission is missing, or a value is too large.
        """
        for exc in self._refused.values():
            raise exc

    def _open_keys(self, lease: int) -> list[RegisteredKey]:
        return [
            key
            for key in self._keys.open
            if key not in self._refused and (lease or not self._is_wanted(key))
        ]

    def _in_batches(
        self,
        work: Callable[[Sequence[RegisteredKey]], None],
        items: Sequence[RegisteredKey],
        size: int,
    ) -> None:
        """
        Call *work* with *items*, at most *size* at a time.

        A batch that etcd refuses is divided: one key that this user may not write, one value that
        is too large, or several that are so together, must not keep the others away from etcd.
        """
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        while batches:
            batch = batches.pop(0)
            try:
                work(batch)
            except (LeaseNotFoundError, NotNowError):
                raise  # it would be the same for each key
            except RefusedError as exc:
                self._refusals += 1
                if self._refusals >= MAX_REFUSALS:
                    raise
                middle = len(batch) // 2
                if middle:
                    batches[:0] = [batch[:middle], batch[middle:]]
                else:
                    self._refused[batch[0]] = exc.with_traceback(None)  # no frames are kept

    def revoked(self, leases: AbstractSet[int], revision: int) -> None:
        """Note that *leases* were revoked at *revision*, and that their keys went with them."""
        for key in self._keys.all:
            if key.seen is None or key.seen.lease not in leases:
                continue
            if self._is_wanted(key):
                self._keys.doubt(key.key, 0)
            else:
                key.seen = None
                _mark_unregistered(key)
                self._report(_event(self.removal, key)._replace(revision=revision))

    def _is_wanted(self, key: RegisteredKey) -> bool:
        return self._keys.wanted and not key.removed

    def _read(self, batch: Sequence[RegisteredKey]) -> None:
        _note_all(batch, look_up(self._client, [key.key for key in batch]))

    def _decide_all(
        self, open_keys: Sequence[RegisteredKey], lease: int, own: AbstractSet[int]
    ) -> tuple[list[RegisteredKey], list[RegisteredKey]]:
        """Return which keys to put and which to delete; the others are accepted as they are."""
        puts, deletions = [], []
        for key in open_keys:
            action = self._decide(key, lease, own)
            if action is Action.ADOPT:
                self._adopt(key)
                action = self._decide(key, lease, own)
            if action is Action.PUT:
                puts.append(key)
            elif action is Action.DELETE:
                deletions.append(key)
            else:
                self._accept(key, action, lease)
        return puts, deletions

    def _decide(self, key: RegisteredKey, lease: int, own: AbstractSet[int]) -> Action:
        return decide(key, lease, own, self._policy, wanted=self._is_wanted(key))

    def _adopt(self, key: RegisteredKey) -> None:
        if key.seen:
            key.value, key.endpoint = key.seen.value, _endpoint(key.seen.value)
            self._report(_event("changed", key)._replace(lease=key.seen.lease))

    def _accept(self, key: RegisteredKey, action: Action, lease: int) -> None:
        """Accept what etcd holds at *key*."""
        if action is Action.KEEP:
            _mark_registered(key, lease)
        elif action is Action.WAIT:
            self._wait(key)
        elif action is Action.REPORT_CONFLICT:
            self._give_up(key, "conflict")
            if self.all_or_nothing:
                raise KeyHeldError(keys.decode(key.key), _lease_seen(key))
        elif action is Action.REPORT_TAKEN_OVER:
            self._give_up(key, "taken_over")
        elif action is Action.REPORT_DELETED:
            # A key also vanishes when its lease ends, of which nothing may be known yet.
            if self._client.lease_time_to_live(lease) <= 0:
                raise LeaseNotFoundError("etcdserver: requested lease not found")
            self._give_up(key, "deleted")
        else:
            _mark_unregistered(key)

    def _give_up(self, key: RegisteredKey, kind: Kind) -> None:
        self._report(_event(kind, key)._replace(holder=_lease_seen(key)))
        key.state = KeyState.GIVEN_UP

    def _wait(self, key: RegisteredKey) -> None:
        if key.holder != _lease_seen(key):
            key.holder = _lease_seen(key)
            kind: Kind = "taken_over" if key.state is KeyState.REGISTERED else "waiting"
            self._report(_event(kind, key)._replace(holder=key.holder))
        _mark_unregistered(key)

    def _delete(self, batch: Sequence[RegisteredKey]) -> None:
        try:
            revision = self._write(batch, None)
        except EtcdError as exc:
            if lacks_space(exc):
                raise DeletionRefusedError(str(exc)) from exc
            raise
        for key in batch if revision else ():
            _mark_unregistered(key)
            self._report(_event(self.removal, key)._replace(revision=revision))

    def _put(self, batch: Sequence[RegisteredKey], lease: int) -> None:
        before = [(_taken_from(key), _reason(key, lease)) for key in batch]
        for key in batch:
            if key.state is KeyState.REGISTERED and _lease_seen(key) != key.lease:
                key.state = KeyState.UNREGISTERED  # until it is written
        if not self._write(batch, lease):
            return
        for key, (holder, reason) in zip(batch, before, strict=True):
            _mark_registered(key, lease)
            event = _event("registered", key)
            self._report(event._replace(lease=lease, holder=holder, reason=reason))

    def _write(self, batch: Sequence[RegisteredKey], lease: int | None) -> int:
        """
        Put all keys on *lease*, or (``None``) delete them, if they are as last read.

        That is one transaction, whose revision is returned.

        Otherwise write nothing, note what etcd holds, and return 0.

        Raises:
            OutcomeUnknownError: There was no answer; the keys have to be read again.
            LeaseNotFoundError: The lease is gone.
        """
        for key in batch:
            key.current = False  # until there is an answer
        try:
            result = transact(
                self._client,
                [Compare(key.key, key.seen.mod_revision if key.seen else 0) for key in batch],
                [
                    Delete(key.key) if lease is None else Put(key.key, key.value, lease)
                    for key in batch
                ],
                [Get(key.key) for key in batch],
            )
        except RefusedError:
            for key in batch:
                key.current = True  # nothing was written
            raise
        if not result.succeeded:
            _note_all(batch, result.found)
            return 0
        revision = result.header.revision
        for key in batch:
            key.current = True
            key.seen = None if lease is None else StoredValue(revision, lease, key.value)
        return revision


def _batch_size(attempt: int) -> int:
    """
    Return how many keys to write in one transaction.

    One key that changes all the time must not keep the others from being written, so batches
    shrink. But not in the first passes, in which all keys may turn out to exist, and all may
    vanish at once because the lease of a predecessor ends.
    """
    return max(1, BATCH_SIZE >> 2 * max(0, attempt - 2))


def _note_all(read: Sequence[RegisteredKey], found: Sequence[KeyValue | None]) -> None:
    for key, kv in zip(read, found, strict=True):
        key.seen = StoredValue(kv.mod_revision, kv.lease, kv.value) if kv else None
        key.current = True


def _event(kind: Kind, key: RegisteredKey) -> RegistrationEvent:
    revision = key.seen.mod_revision if key.seen else 0
    return RegistrationEvent(kind, keys.decode(key.key), key.endpoint, revision=revision)


def _mark_registered(key: RegisteredKey, lease: int) -> None:
    key.state, key.lease, key.stored = KeyState.REGISTERED, lease, key.endpoint
    key.unsaved, key.holder = False, 0


def _mark_unregistered(key: RegisteredKey) -> None:
    key.lease = 0
    if key.state is KeyState.REGISTERED:
        key.state = KeyState.UNREGISTERED


def _lease_seen(key: RegisteredKey) -> int:
    return key.seen.lease if key.seen else 0


def _taken_from(key: RegisteredKey) -> int:
    return _lease_seen(key) if key.state is KeyState.NEW else 0


def _reason(key: RegisteredKey, lease: int) -> str:
    """Return why a key is written again, if it was registered before and *lease* is not new."""
    if key.state is KeyState.UNREGISTERED and key.holder:
        return "no other lease holds it any more"
    if key.lease != lease or key.unsaved:
        return ""
    return "it was deleted" if key.seen is None else "it was put without a lease"


def _endpoint(value: bytes) -> Endpoint | None:
    try:
        return wire.decode(value)
    except InvalidValueError:
        return None
