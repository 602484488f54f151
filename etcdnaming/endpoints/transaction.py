"""
Make updates in one transaction of etcd: all or nothing, and every key stays on its lease.

Keeping a lease depends on whether the key exists. A guess is compared in the same transaction; if
it was wrong, etcd's answer says how it is, and the transaction is sent again.

A single delete without a condition is a DeleteRange: etcd 3.5.1 and older refuse every transaction
when their database is full, but no DeleteRange.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet

from .. import keys, wire
from ..errors import ConditionFailedError, ConflictError, TooManyOperationsError
from ..etcd import Client, within
from ..etcd.ranges import delete_range
from ..etcd.transactions import Compare, Delete, Get, Put, TxnResult, transact
from ..model import Condition, InvalidValue, StoredEndpoint, Update, UpdateResult, fold
from .decoding import stored_endpoint

__all__ = ["MAX_TXN_OPS", "operation", "update"]

MAX_TXN_OPS = 128
"""etcd's default of ``--max-txn-ops``, which limits operations and compares alike."""

LARGE_REQUEST = 1 << 18
"""Bytes of values from which no value is sent twice in one request; etcd takes 1.5 MiB."""

MAX_GUESSES = 10
"""Transactions sent while other processes create or delete the keys, before giving up."""


def update(
    client: Client,
    updates: Sequence[Update],
    *,
    conditions: Sequence[Condition] = (),
    max_txn_ops: int = MAX_TXN_OPS,
    previous: bool = False,
) -> UpdateResult:
    """
    Make all of *updates*, or none of them.

    Args:
        client: The client of the etcd that stores them.

        updates: In the order in which they take effect.

        conditions: What must be true, at the same moment, for anything to be written.

        max_txn_ops: The server's limit of operations in one transaction.

        previous: Return what the puts replaced. What was deleted is always returned.

    Raises:
        InvalidEndpointError, TooManyOperationsError: Nothing was sent.
        ConditionFailedError, ConflictError: Nothing was written.
        OutcomeUnknownError: It was sent, and no answer came.
    """
    transaction = _Transaction(updates, conditions, max_txn_ops, previous=previous)
    with within(client.timeout):
        return transaction.run(client)


class _Transaction:
    """
    The requests that make some updates, and the result in plain data.

    `_unsure` are the keys that keep their lease and may or may not exist.
    """

    def __init__(
        self,
        updates: Sequence[Update],
        conditions: Sequence[Condition],
        max_txn_ops: int,
        *,
        previous: bool,
    ) -> None:
        self._updates, self._conditions = fold(updates), conditions
        self._max_txn_ops, self._previous = max_txn_ops, previous
        self._values = {
            each.key: wire.encode(each.endpoint) for each in self._updates if each.endpoint
        }
        # Folding a delete away detaches a key from its lease, which no update asked for.
        keeping = {each.key for each in updates if each.lease is None}
        self._detached = {each.key for each in self._updates if each.lease == 0} & keeping
        self._existing = {each.key for each in conditions if each.mod_revision != 0}
        decided = {each.key for each in conditions}
        self._unsure = [
            each.key
            for each in self._updates
            if each.endpoint and each.lease is None and each.key not in decided
        ]

    def run(self, client: Client) -> UpdateResult:
        """Send the transaction, again for each wrong guess."""
        if len(self._unsure) == 1 and not self._conditions and not self._is_large():
            result = self._send_both_ways(client, self._unsure[0])
            return self._result(result, self._unsure if result.succeeded else ())
        if len(self._updates) == 1 and not (self._values or self._conditions):
            key = keys.encode(self._updates[0].key)
            header, _, deleted = delete_range(client, (key, b""), previous=True)
            found = [deleted[0] if deleted else None]
            return self._result(TxnResult(succeeded=True, header=header, found=found))
        existing: AbstractSet[str] = set()
        for _ in range(MAX_GUESSES):
            result = self._send_guess(client, existing)
            if result.succeeded:
                return self._result(result, existing)
            existing = self._existing_keys(result)
        raise ConflictError(self._unsure, MAX_GUESSES)

    def _is_large(self) -> bool:
        return sum(map(len, self._values.values())) > LARGE_REQUEST

    def _send_both_ways(self, client: Client, key: str) -> TxnResult:
        """Send one branch for an existing and one for an absent *key*: no second round trip."""
        self._check_size(len(self._updates))
        exists = Compare(keys.encode(key), None)
        return transact(client, [exists], self._operations({key}), self._operations(set()))

    def _send_guess(self, client: Client, existing: AbstractSet[str]) -> TxnResult:
        compares = [Compare(keys.encode(key), revision) for key, revision in self._conditions]
        compares += [
            Compare(keys.encode(key), None if key in existing else 0) for key in self._unsure
        ]
        looked_up = dict.fromkeys([*self._unsure, *(each.key for each in self._conditions)])
        self._check_size(max(len(compares), len(self._updates)))
        return transact(
            client,
            compares,
            self._operations(existing),
            [Get(keys.encode(key), keys_only=True) for key in looked_up],
        )

    def _check_size(self, size: int) -> None:
        if size > self._max_txn_ops:
            raise TooManyOperationsError(size, self._max_txn_ops)

    def _operations(self, existing: AbstractSet[str]) -> list[Put | Delete]:
        return [
            operation(
                each,
                exists=each.key in existing or each.key in self._existing,
                value=self._values[each.key] if each.endpoint else None,
                previous=self._previous or each.key in self._detached,
            )
            for each in self._updates
        ]

    def _existing_keys(self, result: TxnResult) -> AbstractSet[str]:
        """Return which keys exist; they were read at the moment the compares failed."""
        found = {keys.decode(kv.key): kv.mod_revision for kv in result.found if kv}
        failed = [each for each in self._conditions if not _holds(each, found.get(each.key))]
        if failed:
            raise ConditionFailedError(failed, result.header)
        return found.keys()

    def _result(self, result: TxnResult, existing: Collection[str] = ()) -> UpdateResult:
        """Return what was done to keys of which *existing* were there, with a lease to keep."""
        updates: list[Update] = []
        previous: dict[str, StoredEndpoint | InvalidValue] = {}
        detached: dict[str, int] = {}
        known = {*existing, *self._existing}
        for each, before in zip(self._updates, result.found, strict=True):
            is_new = each.endpoint and each.lease is None and each.key not in known
            updates.append(each._replace(lease=0) if is_new else each)
            if before is None:
                continue
            if each.key in self._detached and before.lease:
                detached[each.key] = before.lease
            if self._previous or each.endpoint is None:
                previous[each.key] = stored_endpoint(before)
        return UpdateResult(result.header, tuple(updates), previous, detached)


def operation(
    update: Update, *, exists: bool, value: bytes | None = None, previous: bool = False
) -> Put | Delete:
    """
    Return what makes *update* in a transaction.

    Args:
        update: Without a lease of its own, the key keeps the lease that it has.

        exists: Whether the key exists when the transaction is made.

        value: The endpoint, if it is encoded already.

        previous: Return what the key held.
    """
    key = keys.encode(update.key)
    if update.endpoint is None:
        return Delete(key)
    return Put(
        key,
        wire.encode(update.endpoint) if value is None else value,
        lease=update.lease or 0,
        keep_lease=update.lease is None and exists,
        previous=previous,
    )


def _holds(condition: Condition, mod_revision: int | None) -> bool:
    if condition.mod_revision is None:
        return mod_revision is not None
    return condition.mod_revision == (mod_revision or 0)
