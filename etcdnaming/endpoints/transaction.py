"""
Updates as one transaction of etcd: folded, all or nothing, every key on the lease it hangs on.

The transaction is flat, never nested: older etcd does not check permissions inside a nested one
(GHSA-rfx7-8w68-q57q). Keeping a lease depends on whether the key exists; that is guessed, compared
in the same transaction, and guessed again from what etcd answers when it was wrong.

A single delete without a condition is a DeleteRange: etcd 3.5.1 and older refuse every transaction
when their database is full, but no DeleteRange.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from .. import keys, wire
from ..errors import ConditionFailedError, ConflictError, TooManyOperationsError
from ..etcd import Client, requests, rpc, within
from ..model import Condition, InvalidValue, StoredEndpoint, Update, UpdateResult
from .decoding import header_of, stored_endpoint
from .folding import fold

__all__ = ["MAX_TXN_OPS", "update"]

MAX_TXN_OPS = 128
"""etcd's own default of ``--max-txn-ops``, which bounds operations and compares alike."""

LARGE = 1 << 18
"""Bytes of values from which on none is sent twice in a request: etcd takes 1.5 MiB, by default."""

ATTEMPTS = 10
"""How often others may create or delete our keys between two looks before we give up."""


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
        client: Whom to ask.

        updates: In the order they are meant to take effect.

        conditions: What must be true, at the same moment, for anything to be written.

        max_txn_ops: What the server takes in one transaction.

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
    The requests that make some updates, and what their answers mean.

    `_unsure` are the keys that are to keep their lease and may or may not exist.
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
        # Folding a delete away takes a key off its lease, which nobody asked for in so many words.
        keeping = {each.key for each in updates if each.lease is None}
        self._loosened = {each.key for each in self._updates if each.lease == 0} & keeping
        self._there = {each.key for each in conditions if each.mod_revision != 0}
        decided = {each.key for each in conditions}
        self._unsure = [
            each.key
            for each in self._updates
            if each.endpoint and each.lease is None and each.key not in decided
        ]

    def run(self, client: Client) -> UpdateResult:
        """Send it, as often as a guess is wrong."""
        if len(self._unsure) == 1 and not self._conditions and not self._is_large():
            answer = client.txn(self._either_way(self._unsure[0]))
            return self._result(answer.header, map(_before, answer.responses))
        if len(self._updates) == 1 and not (self._values or self._conditions):
            key = keys.encode(self._updates[0].key)
            deleted = client.delete_range(rpc.DeleteRangeRequest(key=key, prev_kv=True))
            return self._result(deleted.header, [_first(deleted)])
        existing: AbstractSet[str] = set()
        for _ in range(ATTEMPTS):
            answer = client.txn(self._if_as_guessed(existing))
            if answer.succeeded:
                return self._result(answer.header, map(_before, answer.responses))
            existing = self._look(answer)
        raise ConflictError(self._unsure, ATTEMPTS)

    def _is_large(self) -> bool:
        return sum(map(len, self._values.values())) > LARGE

    def _either_way(self, key: str) -> rpc.TxnRequest:
        """With one key in doubt, the two branches are the two ways it can be: no second trip."""
        return self._checked(
            rpc.TxnRequest(
                compare=[requests.is_there(keys.encode(key))],
                success=self._operations({key}),
                failure=self._operations(set()),
            )
        )

    def _if_as_guessed(self, existing: AbstractSet[str]) -> rpc.TxnRequest:
        compares = [_compare(condition) for condition in self._conditions]
        for key in self._unsure:
            holds = requests.is_there if key in existing else requests.is_absent
            compares.append(holds(keys.encode(key)))
        return self._checked(
            rpc.TxnRequest(
                compare=compares,
                success=self._operations(existing),
                failure=[requests.get_key(keys.encode(key)) for key in self._looked_at()],
            )
        )

    def _operations(self, existing: AbstractSet[str]) -> list[rpc.RequestOp]:
        return [self._operation(each, existing) for each in self._updates]

    def _operation(self, each: Update, existing: AbstractSet[str]) -> rpc.RequestOp:
        key = keys.encode(each.key)
        if each.endpoint is None:
            return requests.delete(key)
        return requests.put(
            key,
            self._values[each.key],
            lease=each.lease or 0,
            keep_lease=each.lease is None and (each.key in existing or each.key in self._there),
            previous=self._previous or each.key in self._loosened,
        )

    def _looked_at(self) -> list[str]:
        return list(dict.fromkeys([*self._unsure, *(each.key for each in self._conditions)]))

    def _checked(self, request: rpc.TxnRequest) -> rpc.TxnRequest:
        size = max(len(request.compare), len(request.success), len(request.failure))
        if size > self._max_txn_ops:
            raise TooManyOperationsError(size, self._max_txn_ops)
        return request

    def _look(self, answer: rpc.TxnResponse) -> AbstractSet[str]:
        """Return which keys exist; they were read at the moment the compares failed."""
        found = {
            keys.decode(kv.key): kv.mod_revision
            for response in answer.responses
            for kv in response.response_range.kvs
        }
        failed = [each for each in self._conditions if not _holds(each, found.get(each.key))]
        if failed:
            raise ConditionFailedError(failed, header_of(answer.header))
        return found.keys()

    def _result(
        self, header: rpc.ResponseHeader, replaced: Iterable[rpc.KeyValue | None]
    ) -> UpdateResult:
        """Return what was done; *replaced* is what each key held before, as far as it is known."""
        previous: dict[str, StoredEndpoint | InvalidValue] = {}
        detached: dict[str, int] = {}
        for each, before in zip(self._updates, replaced, strict=True):
            if before is None:
                continue
            if each.key in self._loosened and before.lease:
                detached[each.key] = before.lease
            if self._previous or each.endpoint is None:
                previous[each.key] = stored_endpoint(before)
        return UpdateResult(header_of(header), self._updates, previous, detached)


def _compare(condition: Condition) -> rpc.Compare:
    key = keys.encode(condition.key)
    if condition.mod_revision is None:
        return requests.is_there(key)
    return requests.is_at(key, condition.mod_revision)  # an absent key is at 0


def _holds(condition: Condition, mod_revision: int | None) -> bool:
    if condition.mod_revision is None:
        return mod_revision is not None
    return condition.mod_revision == (mod_revision or 0)


def _before(response: rpc.ResponseOp) -> rpc.KeyValue | None:
    if response.HasField("response_put"):
        put = response.response_put
        return put.prev_kv if put.HasField("prev_kv") else None
    return _first(response.response_delete_range)


def _first(deleted: rpc.DeleteRangeResponse) -> rpc.KeyValue | None:
    return deleted.prev_kvs[0] if deleted.prev_kvs else None
