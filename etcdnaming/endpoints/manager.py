"""`EndpointManager`: register, remove, list and watch the endpoints of one target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from .. import keys
from ..addresses import warn_of_address
from ..etcd import Client
from ..etcd.ranges import count_keys, delete_range, read_range
from ..model import (
    Condition,
    Deletion,
    Endpoint,
    Keys,
    Listing,
    Services,
    Update,
    UpdateResult,
    WatchState,
)
from . import transaction
from .decoding import split_invalid, stored_endpoints, stored_key

if TYPE_CHECKING:
    from .watch import Watch

__all__ = ["EndpointManager", "services"]


class EndpointManager:
    """
    The endpoints of *target*, stored in etcd under ``<target>/``. Go's ``endpoints.Manager``.

    Any of its calls may raise an `EtcdError`: etcd is not reached, or says no. A write whose answer
    is lost raises `OutcomeUnknownError`.

    Args:
        target: The name of a service, ``foo/bar/svc``, without ``etcd:///``.

        max_txn_ops: What etcd was told to take in one transaction (``--max-txn-ops``).

    Raises:
        InvalidTargetError: *target* is empty, or only slashes.
    """

    def __init__(
        self, client: Client, target: str, *, max_txn_ops: int = transaction.MAX_TXN_OPS
    ) -> None:
        self._client, self._target = client, target
        self._range = keys.range_of(target)
        self._max_txn_ops = max_txn_ops

    def add_endpoint(
        self,
        key: str,
        endpoint: Endpoint,
        *,
        lease: int | None = None,
        if_absent: bool = False,
        if_mod_revision: int | None = None,
    ) -> UpdateResult:
        """
        Store *endpoint* at *key*, which stays on its lease unless *lease* says otherwise (0: none).

        Raises:
            InvalidKeyError: *key* is not under the target. Nothing was sent.
            ConditionFailedError: *key* is there, or was changed. Nothing was written.
        """
        revision = 0 if if_absent else if_mod_revision
        conditions = [] if revision is None else [Condition(key, revision)]
        return self.update([Update.add(key, endpoint, lease=lease)], conditions=conditions)

    def delete_endpoint(self, key: str, *, if_mod_revision: int | None = None) -> UpdateResult:
        """Remove *key*; no error if it is not there. Raises as `add_endpoint` does."""
        conditions = [] if if_mod_revision is None else [Condition(key, if_mod_revision)]
        return self.update([Update.delete(key)], conditions=conditions)

    def update(
        self,
        updates: Sequence[Update],
        *,
        conditions: Sequence[Condition] = (),
        previous: bool = False,
    ) -> UpdateResult:
        """
        Make all updates, or none of them, in one transaction.

        Args:
            updates: Several of one key are folded into one that has the same effect. An address
                that gRPC clients can't dial is stored, as Go does, and logged as a warning.

            conditions: What must be true, or nothing is done.

            previous: Return what the keys held before, too.

        Raises:
            InvalidKeyError: A key is not under the target. Nothing was sent.
            TooManyOperationsError: They are more than etcd takes at once. Nothing was sent.
            ConditionFailedError: A condition is not met. Nothing was written.
            ConflictError: Others kept changing the same keys. Nothing was written.
        """
        touched: list[Update | Condition] = [*updates, *conditions]
        for each in touched:
            keys.check_key(each.key, self._target)
        for update in updates:
            if update.endpoint is not None:
                warn_of_address(update.key, update.endpoint.addr)
        return transaction.update(
            self._client,
            updates,
            conditions=conditions,
            max_txn_ops=self._max_txn_ops,
            previous=previous,
        )

    def list(self, *, revision: int = 0, limit: int = 0, serializable: bool = False) -> Listing:
        """
        Return the endpoints there are, in key order, and the keys whose value can't be read.

        Args:
            revision: As they were then; 0 is now.

            limit: How many keys to read at most; 0 is all.

            serializable: Ask one member only, which may lag behind.

        Raises:
            CompactedError, FutureRevisionError: *revision* is not to be had.
        """
        header, found, count, more = read_range(
            self._client,
            self._range,
            stored_endpoints,
            revision=revision,
            limit=limit,
            serializable=serializable,
        )
        endpoints, invalid = split_invalid(found)
        return Listing(header, self._target, endpoints, invalid, count, more)

    def list_keys(
        self,
        *,
        revision: int = 0,
        limit: int = 0,
        serializable: bool = False,
        leases: bool = False,
    ) -> Keys:
        """
        Return the keys there are, without reading their values. Arguments as of `list`.

        From etcd 3.7 on they come without their leases, unless *leases* are asked for.
        """
        header, found, count, more = read_range(
            self._client,
            self._range,
            partial(map, stored_key),
            revision=revision,
            limit=limit,
            serializable=serializable,
            keys_only=not leases,
        )
        return Keys(header, self._target, found, count, more)

    def count(self, *, revision: int = 0, serializable: bool = False) -> Keys:
        """Return the number of keys there are, and none of them."""
        header, count = count_keys(
            self._client, self._range, revision=revision, serializable=serializable
        )
        return Keys(header, self._target, (), count, more=False)

    def delete_all(self, *, previous: bool = False) -> Deletion:
        """Remove every key under the target, those of deeper targets too, in one step."""
        header, deleted, found = delete_range(self._client, self._range, previous=previous)
        return Deletion(header, deleted, [*stored_endpoints(found)])

    def watch(
        self,
        *,
        revision: int = 0,
        on_state: Callable[[WatchState], None] = lambda _: None,
    ) -> Watch:
        """
        Follow the endpoints, for ever: first all there are, then every change.

        Where Go's watch closes its channel at the first error, this one goes on; iterate over
        it for each `ChangeBatch`, or see `Watch`.

        Args:
            revision: Begin with the changes of this revision instead; 0 is with all there is now.

            on_state: Called, by the thread that iterates, when the connection is lost and found.

        Raises (while iterating):
            PermissionDeniedError, CompactedError: It can't go on, and no retry heals that.
        """
        from .watch import Watch  # imports what a listing does not need

        return Watch(self._client, self._target, revision=revision, on_state=on_state)


def services(
    client: Client, prefix: str, *, revision: int = 0, serializable: bool = False
) -> Services:
    """
    Return the targets under *prefix* and how many keys each has; no value is read.

    Raises:
        InvalidTargetError: *prefix* is empty, or only slashes.
    """
    found = EndpointManager(client, prefix).list_keys(revision=revision, serializable=serializable)
    counts = Counter(keys.target_of(stored.key) for stored in found.keys)
    return Services(found.header, prefix, dict(sorted(counts.items())))
